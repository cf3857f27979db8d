"""The engine: Faust with runs of records, partitions that are owned, and folds that survive a crash."""
