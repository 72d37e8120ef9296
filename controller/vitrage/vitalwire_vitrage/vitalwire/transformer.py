from vitrage.common.constants import DatasourceProperties as DSProps
from vitrage.common.constants import EdgeLabel
from vitrage.common.constants import EntityCategory
from vitrage.common.constants import VertexProperties as VProps
from vitrage.datasources.alarm_transformer_base import AlarmTransformerBase
from vitrage.datasources.nova.host import NOVA_HOST_DATASOURCE
from vitrage.datasources.nova.instance import NOVA_INSTANCE_DATASOURCE
from vitrage.datasources import transformer_base
from vitrage.graph import utils as graph_utils

from vitalwire_vitrage.vitalwire import event as events
from vitalwire_vitrage.vitalwire import VITALWIRE_DATASOURCE

RESOURCE_TYPES = {
    events.HEARTBEAT: NOVA_INSTANCE_DATASOURCE,
    events.HOST: NOVA_HOST_DATASOURCE,
}
# GET /v1/alarm names the resource by Vitrage's own id only: this is how a sender finds its alarm.
RESOURCE_KEYS = {
    events.HEARTBEAT: "instance_id",
    events.HOST: "hostname",
}


class VitalwireTransformer(AlarmTransformerBase):
    """One alarm per (alarm name, instance or host). Repeating an event updates that alarm."""

    def _create_snapshot_entity_vertex(self, entity_event):
        return None  # alarms only arrive as events

    def _create_update_entity_vertex(self, entity_event):
        metadata = {
            VProps.NAME: entity_event["alarm"],
            VProps.SEVERITY: entity_event["severity"],
            "time": entity_event["time"],
            RESOURCE_KEYS[entity_event["type"]]: entity_event["resource"],
        }
        metadata.update((key, entity_event[key]) for key in events.FREE_TEXT if key in entity_event)
        return graph_utils.create_vertex(
            self._create_entity_key(entity_event),
            vitrage_category=EntityCategory.ALARM,
            vitrage_type=entity_event[DSProps.ENTITY_TYPE],
            vitrage_sample_timestamp=entity_event[DSProps.SAMPLE_DATE],
            entity_id=entity_event.get("monitor_event_id"),
            entity_state=self._get_alarm_state(entity_event),
            # Vitrage's own clock: the sender's may differ, and the graph orders updates by this.
            update_timestamp=entity_event[DSProps.SAMPLE_DATE],
            metadata=metadata,
        )

    def _create_update_neighbors(self, entity_event):
        return [
            self._create_neighbor(
                entity_event,
                entity_event["resource"],
                RESOURCE_TYPES[entity_event["type"]],
                EdgeLabel.ON,
                neighbor_category=EntityCategory.RESOURCE,
            )
        ]

    def _create_entity_key(self, entity_event):
        return transformer_base.build_key(
            (
                EntityCategory.ALARM,
                entity_event[DSProps.ENTITY_TYPE],
                entity_event["alarm"],
                entity_event["resource"],
            )
        )

    def get_vitrage_type(self):
        return VITALWIRE_DATASOURCE
