#pragma once

#include "controller/http/api.hpp"

namespace vitalwire::controller {

/// The maintenance that covers the guest now, or the host if `guest` is empty; nothing is added when none does.
void add_maintenance(nlohmann::json& entry, const ApiContext& context, const base::GuestId& guest,
                     const base::HostId& host);

/// GET /v1/guests (?state=, ?match=), GET /v1/guests/ID.
void add_guest_pages(runtime::Router& router, const ApiContext& context);

}  // namespace vitalwire::controller
