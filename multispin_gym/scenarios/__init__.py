"""Where users and channels come from: scenario files, presets with their sources, and the streams of an episode.

Streams yield users and draws; what of them is observed is the environments' affair.
"""

from multispin_gym.scenarios.changes import change_scenario
from multispin_gym.scenarios.clock import Clock
from multispin_gym.scenarios.library import list_scenarios, load_scenario
from multispin_gym.scenarios.measured_tables import list_measurements, load_measurement, measured_verification
from multispin_gym.scenarios.populations import AcceptanceClass, DeviceClass
from multispin_gym.scenarios.request_draws import RequestLaw
from multispin_gym.scenarios.requests import Requests
from multispin_gym.scenarios.scenario import Scenario
from multispin_gym.scenarios.sources import Source

__all__ = [
    "AcceptanceClass",
    "Clock",
    "DeviceClass",
    "RequestLaw",
    "Requests",
    "Scenario",
    "Source",
    "change_scenario",
    "list_measurements",
    "list_scenarios",
    "load_measurement",
    "load_scenario",
    "measured_verification",
]
