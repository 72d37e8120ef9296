#pragma once

#include <string>

namespace vitalwire::bus {

/// As what our own certificate is shown to the other side of the bus.
enum class CertificateUse { client, server };

/// Why the other side would reject our certificate, whoever has issued it: it is not for that use, or not for `host`
/// (empty: any). Empty when nothing is wrong, or it cannot be read, which is found elsewhere.
std::string certificate_mistake(const std::string& file, CertificateUse use, const std::string& host);

}  // namespace vitalwire::bus
