#!/usr/bin/python3
"""The Vitrage datasource against the real Vitrage package (no services)."""

from pathlib import Path
import sys
import unittest

PROJECT = Path(__file__).resolve().parents[2]
DATASOURCE = PROJECT / "controller" / "vitrage"
sys.path.insert(0, str(DATASOURCE))

from oslo_config import cfg
from vitrage.common.constants import GraphAction
import vitrage.datasources
import vitrage.entity_graph
from vitrage.entity_graph.mappings.datasource_info_mapper import DatasourceInfoMapper
from vitrage.evaluator.template_validation import validate_template
from vitrage.utils import file as files
from vitalwire_vitrage.vitalwire import OPTS
from vitalwire_vitrage.vitalwire import driver, event, transformer

INSTANCE = "11111111-aaaa-4bbb-8ccc-000000000001"


def heartbeat(**changes):
    details = {"instance_id": INSTANCE, "alarm": "guest.heartbeat.lost", "state": "down"}
    details.update(changes)
    details = {key: value for key, value in details.items() if value is not None}
    return {
        "time": "2026-11-22T06:05:08.123456",
        "type": "vitalwire.heartbeat",
        "details": details,
    }


def host(**changes):
    details = {"hostname": "compute-1", "alarm": "agent.lost", "state": "down", **changes}
    return {"time": "2026-11-22T06:05:08.123456", "type": "vitalwire.host", "details": details}


class Events(unittest.TestCase):
    def test_an_event_becomes_a_flat_alarm(self):
        alarm = event.parse(heartbeat(cause="silent", monitor_event_id="f-1", severity="major"))
        self.assertEqual(
            alarm,
            {
                "type": "vitalwire.heartbeat",
                "resource": INSTANCE,
                "alarm": "guest.heartbeat.lost",
                "state": "down",
                "severity": "major",
                "time": "2026-11-22T06:05:08.123456",
                "cause": "silent",
                "monitor_event_id": "f-1",
            },
        )

    def test_each_alarm_has_a_severity_of_its_own(self):
        for name, severity in event.ALARMS["vitalwire.heartbeat"].items():
            self.assertEqual(event.parse(heartbeat(alarm=name))["severity"], severity)
        self.assertEqual(event.parse(host())["severity"], "major")

    def test_an_instance_is_the_same_however_its_uuid_is_written(self):
        written = INSTANCE.upper().replace("-", "")
        self.assertEqual(event.parse(heartbeat(instance_id=written))["resource"], INSTANCE)

    def test_unknown_keys_are_ignored(self):
        self.assertNotIn("colour", event.parse(heartbeat(colour="red")))

    def test_long_text_is_cut(self):
        self.assertEqual(len(event.parse(heartbeat(cause="x" * 5000))["cause"]), event.MAX_TEXT)

    def test_a_bad_event_is_refused_with_what_was_expected(self):
        cases = {
            "expected an object": [None, [], "x", {**heartbeat(), "details": "x"}],
            "'type' is 'other', expected one of: vitalwire": [{**heartbeat(), "type": "other"}],
            "'alarm' is": [heartbeat(alarm="guest.bored"), heartbeat(alarm=None), host(alarm=1)],
            "'alarm' is 'agent.lost'": [heartbeat(alarm="agent.lost")],
            "'state' is": [heartbeat(state="sideways"), heartbeat(state=["down"])],
            "'severity' is": [heartbeat(severity="apocalyptic"), heartbeat(severity={})],
            "expected the server's uuid": [heartbeat(instance_id=v) for v in (None, 7, "", "vm1")],
            "expected the compute service's host name": [host(hostname=v) for v in ("", "a b", 1)],
            "'time' is": [{**heartbeat(), "time": 5}],
            "'cause' is": [heartbeat(cause=["silent"])],
        }
        for expected, events in cases.items():
            for bad in events:
                with self.subTest(event=bad):
                    with self.assertRaises(event.BadEvent) as refused:
                        event.parse(bad)
                    self.assertIn(expected, str(refused.exception))


class Driver(unittest.TestCase):
    def setUp(self):
        self.driver = driver.VitalwireDriver()

    def test_it_listens_to_both_types_of_event(self):
        self.assertEqual(
            sorted(self.driver.get_event_types()), ["vitalwire.heartbeat", "vitalwire.host"]
        )

    def test_a_snapshot_adds_and_removes_nothing(self):
        self.assertEqual(self.driver.get_all("snapshot"), [])
        self.assertFalse(self.driver.should_delete_outdated_entities())

    def test_a_clear_passes_even_if_the_raise_was_never_seen(self):
        enriched = self.driver.enrich_event(heartbeat(state="up"), "vitalwire.heartbeat")
        self.assertEqual(enriched["vitrage_event_type"], GraphAction.DELETE_ENTITY)

    def test_a_bad_event_is_dropped_and_logged(self):
        with self.assertLogs(driver.LOG.logger, "WARNING") as log:
            self.assertIsNone(self.driver.enrich_event(heartbeat(state="?"), "vitalwire.heartbeat"))
        self.assertIn("'state' is '?', expected one of: down, up", log.output[0])


class Transformer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cfg.CONF([], default_config_files=[])
        cfg.CONF.register_opts(OPTS, "vitalwire")

    def test_an_alarm_stands_on_its_instance(self):
        wrapper = self.transform(heartbeat(monitor_event_id="fault-1"))
        self.assertEqual(wrapper.action, GraphAction.UPDATE_ENTITY)
        self.assertEqual(wrapper.vertex["name"], "guest.heartbeat.lost")
        self.assertEqual(wrapper.vertex["id"], "fault-1")
        self.assertEqual(wrapper.vertex["instance_id"], INSTANCE)
        ((neighbour, edge),) = wrapper.neighbors
        self.assertEqual(neighbour["vitrage_type"], "nova.instance")
        self.assertEqual(neighbour["id"], INSTANCE)
        self.assertEqual((edge.source_id, edge.label), (wrapper.vertex.vertex_id, "on"))

    def test_a_host_alarm_stands_on_its_host(self):
        wrapper = self.transform(host())
        self.assertEqual(wrapper.vertex["hostname"], "compute-1")
        ((neighbour, _),) = wrapper.neighbors
        self.assertEqual((neighbour["vitrage_type"], neighbour["id"]), ("nova.host", "compute-1"))

    def test_a_repeated_event_is_the_same_alarm_and_another_name_is_not(self):
        first, again = self.transform(heartbeat()), self.transform(heartbeat(cause="later"))
        other = self.transform(heartbeat(alarm="guest.unhealthy"))
        self.assertEqual(first.vertex.vertex_id, again.vertex.vertex_id)
        self.assertNotEqual(first.vertex.vertex_id, other.vertex.vertex_id)

    def test_a_clear_deletes_the_same_alarm(self):
        raised = self.transform(heartbeat())
        cleared = self.transform(heartbeat(state="up"))
        self.assertEqual(cleared.action, GraphAction.DELETE_ENTITY)
        self.assertEqual(cleared.vertex.vertex_id, raised.vertex.vertex_id)

    def transform(self, raw):
        enriched = driver.VitalwireDriver().enrich_event(raw, raw["type"])
        return transformer.VitalwireTransformer({}).transform(enriched)


class Files(unittest.TestCase):
    def test_every_severity_has_a_value_in_vitrage(self):
        cfg.CONF.register_opts(vitrage.datasources.OPTS, "datasources")
        cfg.CONF.register_opts(vitrage.entity_graph.OPTS, "entity_graph")
        cfg.CONF.set_override(
            "datasources_values_dir", str(DATASOURCE / "datasources_values"), "entity_graph"
        )
        mapper = DatasourceInfoMapper()
        found = [mapper.vitrage_operational_value("vitalwire", s) for s in event.SEVERITIES]
        self.assertEqual(found, ["CRITICAL", "SEVERE", "WARNING"])

    def test_templates_are_valid(self):
        for path in sorted((DATASOURCE / "templates").glob("*.yaml")):
            with self.subTest(template=path.name):
                template = files.load_yaml_file(str(path), with_exception=True)
                result = validate_template(template, [])
                self.assertTrue(result.is_valid_config, result.comment)


if __name__ == "__main__":
    unittest.main()
