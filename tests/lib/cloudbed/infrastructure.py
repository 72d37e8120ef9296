"""What every OpenStack service stands on: MariaDB and RabbitMQ."""
from typing import Callable, Sequence

from . import certificates, settings
from .services import LOOPBACK, Service, once, port_is_open, run
from .settings import PASSWORD, Settings

DATABASES = ("keystone", "placement", "glance", "nova_api", "nova", "nova_cell0", "vitrage")


class Infrastructure:
    def __init__(self, config: Settings, wrap: Callable[[list[str]], Sequence[object]] = list) -> None:
        """`wrap` makes the broker run elsewhere."""
        self._config = config
        self._home = config.home
        self._etc = config.home / "etc"
        self._options = f"--defaults-file={self._etc / 'my.cnf'}"
        broker = wrap(["/usr/lib/rabbitmq/bin/rabbitmq-server"])
        self.mariadb = Service(
            self._home, "mariadb", ["mariadbd", self._options], ready=self._database_answers
        )
        self.rabbitmq = Service(
            self._home, "rabbitmq", broker, self._broker_environment(), self._broker_answers
        )
        self.services = {"mariadb": self.mariadb, "rabbitmq": self.rabbitmq}
        self.certificates = self._etc / "certificates"

    def up(self) -> None:
        self._write_configuration()
        self.rabbitmq.start()
        once(self._home, "mariadb", self._install_database)
        self.mariadb.start().wait_ready()
        once(self._home, "databases", self._create_databases)
        self.rabbitmq.wait_ready()

    def broker_up(self) -> None:
        """RabbitMQ alone."""
        self._write_configuration()
        self.rabbitmq.start().wait_ready()

    def add_broker_user(
        self, name: str, configure: str, write: str, read: str, password: str = PASSWORD
    ) -> None:
        """A user with these rights (regular expressions) and no more."""
        control = ["/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", "-n", "cloudbed@localhost"]
        environment = self._broker_environment()
        run(self._home, [*control, "add_user", name, password], env=environment)
        rights = ["set_permissions", "-p", "/", name, configure, write, read]
        run(self._home, [*control, *rights], env=environment)

    def _write_configuration(self) -> None:
        settings.write(self._etc / "my.cnf", self._config.mariadb())
        once(self._home, "certificates", lambda: certificates.issue(self.certificates))
        (self._etc / "rabbitmq.conf").write_text(self._broker_settings())
        (self._home / "rabbitmq").mkdir(exist_ok=True)
        (self._home / "rabbitmq" / "plugins").write_text("[].\n")

    def _broker_settings(self) -> str:
        """Over TLS it lets in only clients with a certificate of the same authority."""
        return "\n".join(
            (
                "default_user = cloudbed",
                f"default_pass = {PASSWORD}",
                f"listeners.ssl.1 = {LOOPBACK}:{self._config.ports['broker_tls']}",
                f"ssl_options.cacertfile = {self.certificates / 'authority.pem'}",
                f"ssl_options.certfile = {self.certificates / 'server.pem'}",
                f"ssl_options.keyfile = {self.certificates / 'server.key'}",
                "ssl_options.verify = verify_peer",
                "ssl_options.fail_if_no_peer_cert = true",
                "",
            )
        )

    def _install_database(self) -> None:
        (self._home / "mariadb").mkdir(exist_ok=True)
        secure = ["--user=root", "--auth-root-authentication-method=normal", "--skip-test-db"]
        run(self._home, ["mariadb-install-db", self._options, *secure])

    def add_database(self, name: str) -> None:
        self._sql(f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb3")

    def _create_databases(self) -> None:
        for name in DATABASES:
            self.add_database(name)
        self._sql(f"CREATE USER IF NOT EXISTS cloudbed@'%' IDENTIFIED BY '{PASSWORD}'")
        self._sql("GRANT ALL ON *.* TO cloudbed@'%'")

    def _database_answers(self) -> bool:
        return self._sql("SELECT 1", check=False)

    def _sql(self, statement: str, check: bool = True) -> bool:
        socket = self._home / "mariadb" / "socket"
        argv = ["mariadb", "--no-defaults", "-S", socket, "-uroot", "-e", statement]
        return run(self._home, argv, check)

    def _broker_answers(self) -> bool:
        return port_is_open(self._config.ports["broker"])

    def _broker_environment(self) -> dict[str, str]:
        ports, data = self._config.ports, self._home / "rabbitmq"
        # No busy waiting: two cores are shared by the whole cloud.
        erlang = "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none"
        return {
            "HOME": str(data),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(ports["epmd"]),
            "RABBITMQ_NODENAME": "cloudbed@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(ports["broker"]),
            "RABBITMQ_DIST_PORT": str(ports["broker_cluster"]),
            "RABBITMQ_MNESIA_BASE": str(data / "data"),
            "RABBITMQ_LOG_BASE": str(self._home / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(data / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self._etc / "rabbitmq"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": erlang,
        }
