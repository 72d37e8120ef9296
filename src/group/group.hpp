#pragma once

// src/group: server-group messaging without I/O (proto-spec/server-group.md).
//   rate_limiter.hpp  the agent's side: what a guest may send, and who answers for it
//   outbox.hpp      the agent's side: what waits for a guest that does not read
//   duplicates.hpp  the agent's side: nothing is delivered twice or out of order, whichever controller it comes from
//   member_session.hpp  the guest's side: one application; queries.hpp its status queries under way
//   router.hpp      the controller's side: who is in a group, and where
