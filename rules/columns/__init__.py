"""The columnar evaluator: many purchases at once, a numpy array for each field, feature and rule."""
