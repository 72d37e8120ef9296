"""Health of applications in a virtual machine, over the socket of vitalwired (proto-spec/application-socket.md).

Blocking, in the thread that does the work::

    with vitalwire.Application("db", health=lambda: vitalwire.Health(is_open, "no replica")) as application:
        while work():
            application.poll(timeout=0.1)

With asyncio::

    async with vitalwire.AsyncApplication("db", health=check):
        await serve()

Asked before the cloud stops or moves the machine::

    def on_action(action):
        if action.may_reject and action.event == "stop" and is_last_member():
            return "last member of its group"

    vitalwire.Application("db", on_action=on_action)

Without an application of one's own::

    vitalwire.report("backup", vitalwire.Health(False, "no space"))
    vitalwire.status().healthy

The other machines of the server group::

    with vitalwire.Group(message=lambda message: print(message.source_instance, message.data)) as group:
        print(group.members())
        group.send("backup begins")
        group.poll(timeout=60)

What a heartbeat proves is that the thread or loop that answers runs, and what its callback knows: answer where the work
is done. The process that made an application speaks for it; in a child that it forks every call raises WrongProcess.
"""

from ._aio import AsyncApplication
from ._blocking import Application, forget, report, status
from ._group import Member, Message, Notification
from ._group_aio import AsyncGroup
from ._group_blocking import Group
from ._protocol import LATER, Action, Error, Health, Item, Refused, Status, WrongProcess

__all__ = ["LATER", "Action", "Application", "AsyncApplication", "AsyncGroup", "Error", "Group", "Health", "Item",
           "Member", "Message", "Notification", "Refused", "Status", "WrongProcess", "forget", "report", "status"]
