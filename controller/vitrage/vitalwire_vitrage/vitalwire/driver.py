from oslo_log import log
from vitrage.common.constants import DatasourceAction
from vitrage.common.constants import DatasourceProperties as DSProps
from vitrage.common.constants import GraphAction
from vitrage.datasources.driver_base import DriverBase

from vitalwire_vitrage.vitalwire import VITALWIRE_DATASOURCE
from vitalwire_vitrage.vitalwire import event as events

LOG = log.getLogger(__name__)


class VitalwireDriver(DriverBase):
    """Accepts events and keeps nothing.

    Vitrage's own alarm drivers remember the last state of each alarm and drop an event that repeats
    it. That memory is lost when vitrage-graph restarts while the graph itself is kept, so a clear
    after a restart would be dropped. The graph de-duplicates by the alarm's key; that is enough.
    """

    def get_all(self, datasource_action):
        return []  # a snapshot neither adds nor removes a pushed alarm

    def get_changes(self, datasource_action):
        return []

    @staticmethod
    def get_event_types():
        return list(events.ALARMS)

    def enrich_event(self, event, event_type):
        try:
            alarm = events.parse(event)
        except events.BadEvent as problem:
            LOG.warning("Ignored an event of type %s: %s", event_type, problem)
            return None
        alarm[DSProps.EVENT_TYPE] = (
            GraphAction.DELETE_ENTITY
            if alarm["state"] == events.CLEARED
            else GraphAction.UPDATE_ENTITY
        )
        return self.make_pickleable([alarm], VITALWIRE_DATASOURCE, DatasourceAction.UPDATE)[0]
