#include "bus/tls_config.hpp"

#include <unistd.h>

#include <chrono>

#include "bus/certificate_watch.hpp"
#include "bus/tls_context.hpp"
#include "runtime/file.hpp"

namespace vitalwire::bus {

TlsFiles read_tls_files(runtime::ConfigReader& section) {
    TlsFiles files;
    files.ca = section.file("ca");
    files.certificate = section.file("certificate");
    files.key = section.file("key");
    files.crl = section.file("crl");
    if (!files.key.empty()) section.check("key", runtime::why_exposed(files.key));
    if (!section.only_checked()) return files;  // a running daemon watches them
    const auto now = std::chrono::system_clock::now();
    TlsFiles one;
    one.ca = files.ca;
    section.check("ca", certificate_problem(one, now));
    one = {};
    one.certificate = files.certificate;
    section.check("certificate", certificate_problem(one, now));
    return files;
}

bool tls_files_refused(const runtime::ConfigReader& section) {
    return section.refused("ca") || section.refused("certificate") || section.refused("key") || section.refused("crl");
}

TlsFiles read_http_tls_files(runtime::ConfigReader& section) {
    TlsFiles files;
    files.certificate = section.file("certificate");
    files.key = section.file("key");
    if (files.certificate.empty() && files.key.empty()) return files;
    if (!files.key.empty()) section.check("key", runtime::why_exposed(files.key));
    const bool readable = access(files.certificate.c_str(), R_OK) == 0 && access(files.key.c_str(), R_OK) == 0;
    const bool both = !files.certificate.empty() && !files.key.empty();
    if (both && !readable) return files;  // named already
    const auto usable = TlsContext::load(TlsContext::Role::http_server, files);
    if (!usable) section.refuse(files.key.empty() ? "certificate" : "key", usable.error().message);
    if (section.only_checked())
        section.check("certificate", certificate_problem(files, std::chrono::system_clock::now()));
    return files;
}

}  // namespace vitalwire::bus
