#pragma once

// model/: what the suite speaks of, whatever the protocol: no I/O, no clock, no encoding.
//   alarm_kind.hpp         every kind of alarm: the table
//   corrective_action.hpp  what a guest wants done when it fails
//   fault.hpp              a fault of a guest, and its kinds
//   guest.hpp              what an agent reports of a guest, and what the cloud wants of it
//   lifecycle.hpp          what the cloud does with a guest, and what the guest answers when it is asked before
