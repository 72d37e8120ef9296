"""The Vitrage datasource `vitalwire`: alarms on guests and compute hosts, pushed by the controller.

Vitrage finds it by its configuration (`[datasources] types` and `path`), reads OPTS, and makes the
two classes named there: the driver checks events, the transformer puts them into the entity graph.
"""
from oslo_config import cfg

VITALWIRE_DATASOURCE = "vitalwire"

OPTS = [
    cfg.StrOpt(
        "driver",
        default="vitalwire_vitrage.vitalwire.driver.VitalwireDriver",
        help="Class that checks incoming events.",
    ),
    cfg.StrOpt(
        "transformer",
        default="vitalwire_vitrage.vitalwire.transformer.VitalwireTransformer",
        help="Class that turns an event into an alarm of the entity graph.",
    ),
    cfg.StrOpt(
        "update_method",
        default="push",
        choices=["push"],
        help="Alarms are pushed to POST /v1/event; nothing is polled.",
    ),
]
