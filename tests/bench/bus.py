#!/usr/bin/python3
"""What a broker costs: the same fault and the same broadcast over TCP and, where it is installed, through RabbitMQ.

Nothing fails because a machine is slow.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
import sys

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "lib"), str(Path(__file__).resolve().parent)]

from cloudbed.cloud import free_ports
from message_broker import CONTROLLER, INSTALLED, Broker
from vmbed.procs import temporary_dir
import group
from whole import Bus, Figure, fault_latencies


@dataclass(frozen=True)
class Size:
    guests: int = 200
    silenced: int = 100
    messages: int = 2000


SMOKE = Size(guests=10, silenced=3, messages=50)


def tcp() -> Bus:
    url = f"tcp://127.0.0.1:{free_ports(1)}"
    return Bus({"bus__listen": url}, {"bus__controller": url})


def amqp(broker: Broker) -> Bus:
    password = {"bus__password_file": broker.password_file}
    return Bus(
        {"bus__listen": broker.url(CONTROLLER), **password}, {"bus__controller": broker.url(group.HOST), **password}
    )


def fault(folder: Path, size: Size, bus: Bus) -> float:
    took = fault_latencies(folder, size.guests, size.silenced, bus)
    return took[len(took) // 2]


def broadcast(folder: Path, size: Size, bus: Bus) -> float:
    with group.Bed(folder, 10, 2, 2, bus) as bed:
        median, _ = bed.ask(f"latency {size.messages}")
    return median / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small and short: shows that it runs, measures nothing")
    size = SMOKE if parser.parse_args().smoke else Size()
    if not INSTALLED:
        return print("bus: rabbitmq-server is not installed")
    with temporary_dir() as folder, Broker(folder / "broker") as broker:
        for what, measure in (("silent guest to inspector", fault), ("guest to guest by the controller", broadcast)):
            name = measure.__name__
            over_tcp = measure(folder / f"{name}-tcp", size, tcp())
            over_amqp = measure(folder / f"{name}-amqp", size, amqp(broker))
            print(Figure(f"AMQP: {what}, median", over_amqp, over_tcp, "ms", "TCP + 5", "over TCP"), flush=True)


if __name__ == "__main__":
    main()
