"""Configuration files of the services, made from what a Cloud knows of itself."""
from pathlib import Path
from typing import Mapping

from .services import LOOPBACK

PASSWORD = "cloudbed"
REGION = "RegionOne"

Sections = Mapping[str, Mapping[str, object]]


def write(path: Path, sections: Sections) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for section, options in sections.items():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in options.items()), ""]
    path.write_text("\n".join(lines))
    path.chmod(0o600)
    return path


def address(host: str) -> str:
    """Of a compute node, which is named compute-1, compute-2, ..."""
    return f"127.0.1.{host.rpartition('-')[2]}"


class Settings:
    """Ports, URLs and credentials; everything a configuration file of this cloud needs."""

    PORTS = (
        "database",
        "broker",
        "broker_tls",
        "broker_cluster",
        "epmd",
        "identity",
        "placement",
        "image",
        "compute",
        "network",
        "vitrage",
        "aodh",
        "masakari",
    )

    def __init__(self, home: Path, first_port: int) -> None:
        self.home = home
        self.ports = {name: first_port + index for index, name in enumerate(self.PORTS)}

    def url(self, name: str, path: str = "") -> str:
        return f"http://{LOOPBACK}:{self.ports[name]}{path}"

    @property
    def endpoints(self) -> dict[str, str]:
        """Service type to endpoint, as the catalog has them."""
        return {
            "compute": self.url("compute", "/v2.1"),
            "placement": self.url("placement"),
            "image": self.url("image"),
            "network": self.url("network"),
            "rca": self.url("vitrage"),
        }

    @property
    def auth_url(self) -> str:
        return self.url("identity", "/v3")

    @property
    def transport_url(self) -> str:
        return f'rabbit://cloudbed:{PASSWORD}@{LOOPBACK}:{self.ports["broker"]}/'

    def database(self, name: str) -> str:
        server = f"cloudbed:{PASSWORD}@{LOOPBACK}:{self.ports['database']}"
        return f"mysql+pymysql://{server}/{name}?charset=utf8"

    def credentials(self, user: str) -> dict[str, object]:
        return {
            "auth_url": self.auth_url,
            "auth_type": "password",
            "username": user,
            "password": PASSWORD,
            "project_name": "service",
            "user_domain_id": "default",
            "project_domain_id": "default",
            "region_name": REGION,
        }

    def token_check(self, user: str) -> dict[str, object]:
        return {"www_authenticate_uri": self.auth_url, **self.credentials(user)}

    def mariadb(self) -> Sections:
        data = self.home / "mariadb"
        return {
            "mysqld": {
                "user": "root",
                "datadir": data / "data",
                "socket": data / "socket",
                "pid-file": data / "pid",
                "bind-address": LOOPBACK,
                "port": self.ports["database"],
                "skip-log-bin": 1,
                "skip-name-resolve": 1,
                "performance_schema": "OFF",
                "innodb_buffer_pool_size": "64M",
                "max_connections": 400,
                # A crash of the machine ends the test bed anyway: nothing needs to reach the disk.
                "innodb_flush_log_at_trx_commit": 0,
                "innodb_doublewrite": 0,
                "character-set-server": "utf8mb3",
            }
        }

    def keystone(self) -> Sections:
        keys = self.home / "keystone"
        return {
            "database": {"connection": self.database("keystone")},
            "token": {"provider": "fernet"},
            "identity": {"password_hash_rounds": 4},
            "fernet_tokens": {"key_repository": keys / "fernet"},
            "fernet_receipts": {"key_repository": keys / "fernet"},
            "credential": {"key_repository": keys / "credential"},
        }

    def placement(self) -> Sections:
        return {
            "api": {"auth_strategy": "keystone"},
            "placement_database": {"connection": self.database("placement")},
            "keystone_authtoken": self.token_check("placement"),
        }

    def glance(self) -> Sections:
        store = self.home / "glance"
        return {
            "DEFAULT": {"enabled_backends": "local:file"},
            "database": {"connection": self.database("glance")},
            "glance_store": {"default_backend": "local"},
            "local": {"filesystem_store_datadir": store / "images"},
            "os_glance_tasks_store": {"filesystem_store_datadir": store / "tasks"},
            "os_glance_staging_store": {"filesystem_store_datadir": store / "staging"},
            "paste_deploy": {"flavor": "keystone"},
            "keystone_authtoken": self.token_check("glance"),
        }

    def glance_paste(self) -> Sections:
        return {
            "pipeline:glance-api-keystone": {"pipeline": "versions token context root"},
            "composite:root": {
                "paste.composite_factory": "glance.api:root_app_factory",
                "/": "apiversions",
                "/v2": "api",
            },
            "app:apiversions": {"paste.app_factory": "glance.api.versions:create_resource"},
            "app:api": {"paste.app_factory": "glance.api.v2.router:API.factory"},
            "filter:versions": {
                "paste.filter_factory": "glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory"
            },
            "filter:context": {
                "paste.filter_factory": "glance.api.middleware.context:ContextMiddleware.factory"
            },
            "filter:token": {
                "paste.filter_factory": "keystonemiddleware.auth_token:filter_factory"
            },
        }

    def nova(self, host: str, state: Path) -> dict[str, dict[str, object]]:
        return {
            "DEFAULT": {
                "host": host,
                "my_ip": LOOPBACK,
                "state_path": state,
                "transport_url": self.transport_url,
                "osapi_compute_workers": 1,
                "instance_usage_audit": "false",
                "report_interval": 5,
                "heal_instance_info_cache_interval": -1,
                "graceful_shutdown_timeout": 1,
            },
            "api": {"auth_strategy": "keystone"},
            "api_database": {"connection": self.database("nova_api")},
            "database": {"connection": self.database("nova")},
            "conductor": {"workers": 1},
            "scheduler": {"workers": 1},
            "upgrade_levels": {"compute": "auto"},
            "oslo_concurrency": {"lock_path": state / "lock"},
            "oslo_messaging_rabbit": {"heartbeat_in_pthread": "false"},
            # Vitrage reads the versioned notifications, from a topic of its own.
            "notifications": {
                "notification_format": "both",
                "notify_on_state_change": "vm_and_task_state",
                "versioned_notifications_topics": "versioned_notifications,vitrage_notifications",
            },
            "oslo_messaging_notifications": {
                "driver": "messagingv2",
                "transport_url": self.transport_url,
            },
            "vnc": {"enabled": "false"},
            "glance": {"api_servers": self.url("image")},
            "placement": self.credentials("nova"),
            "neutron": self.credentials("nova"),
            "cinder": self.credentials("nova"),
            "keystone_authtoken": self.token_check("nova"),
        }

    def nova_paste(self) -> Sections:
        def middleware(factory: str) -> dict[str, str]:
            return {"paste.filter_factory": factory}

        return {
            "composite:osapi_compute": {
                "use": "call:nova.api.openstack.urlmap:urlmap_factory",
                "/": "versions",
                "/v2.1": "version",
                "/v2.1/+": "compute",
            },
            "pipeline:versions": {"pipeline": "faults allversions"},
            "pipeline:version": {"pipeline": "request_id faults oneversion"},
            "composite:compute": {
                "use": "call:nova.api.auth:pipeline_factory_v21",
                "keystone": "request_id faults size token context api",
            },
            "app:allversions": {
                "paste.app_factory": "nova.api.openstack.compute.versions:Versions.factory"
            },
            "app:oneversion": {
                "paste.app_factory": "nova.api.openstack.compute.versions:VersionsV2.factory"
            },
            "app:api": {"paste.app_factory": "nova.api.openstack.compute:APIRouterV21.factory"},
            "filter:request_id": middleware(
                "nova.api.compute_req_id:ComputeReqIdMiddleware.factory"
            ),
            "filter:faults": middleware("nova.api.openstack:FaultWrapper.factory"),
            "filter:size": middleware("oslo_middleware:RequestBodySizeLimiter.factory"),
            "filter:token": middleware("keystonemiddleware.auth_token:filter_factory"),
            "filter:context": middleware("nova.api.auth:NovaKeystoneContext.factory"),
        }

    def nova_compute(self, host: str, state: Path, config: Path, driver: str) -> Sections:
        sections = self.nova(host, state)
        helper = f"/usr/bin/privsep-helper --config-file {config}"
        sections["DEFAULT"].update(
            {
                "my_ip": address(host),
                "compute_driver": driver,
                "instances_path": "/var/lib/libvirt/instances",
                "use_rootwrap_daemon": "false",
                "force_raw_images": "true",
                "flat_injected": "false",
                "reserved_host_memory_mb": 0,
                "shutdown_timeout": 10,
                "sync_power_state_interval": 600,
            }
        )
        sections["compute"] = {"resource_provider_association_refresh": 0}
        sections["libvirt"] = {
            "virt_type": "qemu",
            "cpu_mode": "none",
            "connection_uri": "qemu:///system",
            "images_type": "raw",
            "inject_partition": -2,
            "rng_dev_path": "/dev/urandom",
            "wait_soft_reboot_seconds": 120,
            "live_migration_uri": f"qemu+unix:///system?socket={self.home}/%s/run/libvirt/libvirt-sock",
            "live_migration_inbound_addr": address(host),
        }
        # Debian's Nova takes a guest's kernel for a broken image when the guest comes from another node.
        sections["workarounds"] = {"disable_deep_image_inspection": "true"}
        sections["nova_sys_admin"] = {"helper_command": helper}
        sections["privsep"] = {"helper_command": helper}
        return sections

    def aodh(self) -> Sections:
        return {
            # A new alarm counts at once, not with the next reading of all alarms.
            "DEFAULT": {"transport_url": self.transport_url, "event_alarm_cache_ttl": 0},
            "database": {"connection": self.database("aodh")},
            "api": {"paste_config": "/usr/lib/python3/dist-packages/aodh/api/api-paste.ini"},
            "oslo_policy": {"policy_dirs": "/etc/aodh/policy.d"},
            "service_credentials": self.credentials("aodh"),
            "keystone_authtoken": self.token_check("aodh"),
        }

    def ceilometer(self, pipeline: Path) -> Sections:
        """It passes Nova's notifications on to Aodh."""
        data = "/usr/lib/python3/dist-packages/ceilometer/pipeline/data"
        return {
            "DEFAULT": {
                "transport_url": self.transport_url,
                "event_pipeline_cfg_file": pipeline,
            },
            "notification": {"pipelines": "event"},
            "event": {"definitions_cfg_file": f"{data}/event_definitions.yaml"},
            "service_credentials": self.credentials("aodh"),
            "oslo_messaging_notifications": {
                "transport_url": self.transport_url,
                "driver": "messagingv2",
            },
        }

    def masakari(self, state: Path, duplicate_seconds: int) -> Sections:
        return {
            "DEFAULT": {
                "transport_url": self.transport_url,
                "auth_strategy": "keystone",
                "host": "controller",
                "state_path": state,
                "nova_catalog_admin_info": "compute:compute:publicURL",
                "os_region_name": REGION,
                "os_privileged_user_name": "masakari",
                "os_privileged_user_password": PASSWORD,
                "os_privileged_user_tenant": "service",
                "os_privileged_user_auth_url": self.auth_url,
                "os_user_domain_name": "default",
                "os_project_domain_name": "default",
                "masakari_api_listen": LOOPBACK,
                "masakari_api_listen_port": self.ports["masakari"],
                "masakari_api_workers": 1,
                "duplicate_notification_detection_interval": duplicate_seconds,
            },
            "database": {"connection": self.database("masakari")},
            "wsgi": {"api_paste_config": "/etc/masakari/api-paste.ini"},
            "oslo_policy": {"policy_dirs": "/etc/masakari/policy.d"},
            "oslo_concurrency": {"lock_path": state},
            "instance_failure": {"process_all_instances": "true"},
            # Debian's package lacks the migrations of the other one.
            "taskflow": {"connection": "memory://"},
            "keystone_authtoken": self.token_check("masakari"),
        }

    def vitrage(self, datasources_values: Path) -> Sections:
        return {
            "DEFAULT": {
                "transport_url": self.transport_url,
                "notifiers": "nova,webhook",
                "use_stderr": "true",
            },
            "api": {
                "host": LOOPBACK,
                "port": self.ports["vitrage"],
                "auth_mode": "keystone",
                "paste_config": "/etc/vitrage/api-paste.ini",
                "workers": 1,
            },
            "database": {"connection": self.database("vitrage")},
            "datasources": {
                "types": "nova.host,nova.instance,nova.zone,doctor,vitalwire",
                "path": "vitrage.datasources,vitalwire_vitrage",
                "notification_topics": "vitrage_notifications",
                "snapshots_interval": 20,
            },
            "entity_graph": {"datasources_values_dir": datasources_values},
            "oslo_messaging_notifications": {
                "driver": "messagingv2",
                "transport_url": self.transport_url,
            },
            "oslo_concurrency": {"lock_path": self.home / "vitrage"},
            "oslo_policy": {"policy_dirs": "/etc/vitrage/policy.d"},
            "service_credentials": self.credentials("vitrage"),
            "keystone_authtoken": self.token_check("vitrage"),
        }
