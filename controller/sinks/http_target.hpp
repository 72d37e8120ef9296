#pragma once

#include "controller/delivery/sink.hpp"
#include "runtime/config.hpp"
#include "runtime/http/http_client.hpp"

namespace vitalwire::controller {

/// The keys that every sink over HTTP has: url, timeout, header, secret_header, secret_file, secret_env, user,
/// password_file, password_env, ca_file, insecure. Returns the request that each event begins with; secrets are read
/// from their files or the environment now.
runtime::HttpClientRequest read_http_target(runtime::ConfigReader& section);

/// 2xx confirms. 400, 409, 413, 415 and 422 are about the message: refused. Everything else (no answer, 401 while the
/// identity service is away, 404 before the receiver's application is up, 5xx) may be better later; with Retry-After
/// not before that.
Outcome outcome_of(const base::Result<runtime::HttpClientResponse>& response);

}  // namespace vitalwire::controller
