"""How unusual a purchase is for its account: online, without labels, scored before it is learned."""

from rules.anomaly.codec import AnomalyStateError
from rules.anomaly.observation import Observation, Score
from rules.anomaly.population import Population
from rules.anomaly.profile import Profile
from rules.anomaly.score import learn, score

__all__ = ["AnomalyStateError", "Observation", "Population", "Profile", "Score", "learn", "score"]
