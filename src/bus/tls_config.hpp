#pragma once

#include "bus/transport.hpp"
#include "runtime/config.hpp"

namespace vitalwire::bus {

/// The keys ca, certificate, key and crl. When the file is only checked, a certificate that has ended or soon will, and
/// a key that others may read, are mistakes.
TlsFiles read_tls_files(runtime::ConfigReader& section);
/// A mistake of theirs is reported: no connection with them needs to be tried.
bool tls_files_refused(const runtime::ConfigReader& section);
/// "certificate" and "key" of an HTTP server; both empty: no TLS.
TlsFiles read_http_tls_files(runtime::ConfigReader& section);

}  // namespace vitalwire::bus
