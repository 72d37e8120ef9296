#include "bus/certificate_check.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>

#include "base/host_name.hpp"
#include "base/text.hpp"
#include "bus/tls_context.hpp"

namespace vitalwire::bus {

namespace {

std::unique_ptr<X509, decltype(&X509_free)> read_certificate(const std::string& file) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_file(file.c_str(), "r"), BIO_free);
    X509* certificate = bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr;
    ERR_clear_error();
    return {certificate, X509_free};
}

std::string why_not_for(X509* certificate, CertificateUse use) {
    const bool client = use == CertificateUse::client;
    if (X509_check_purpose(certificate, client ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER, 0) == 1) return {};
    return client ? "is not for clients (extendedKeyUsage)" : "is not for servers (extendedKeyUsage)";
}

std::string why_not_of(const X509* certificate, const std::string& host) {
    const auto names = certificate_names(certificate);
    if (host.empty() || std::find(names.begin(), names.end(), base::canonical_host_name(host)) != names.end())
        return {};
    std::string text;
    for (const std::string& name : names)
        text += (text.empty() ? "" : ", ") + base::escape(name, 80);
    return "is not for the host '" + host + "' (" + (text.empty() ? "no DNS name" : text) + ")";
}

}  // namespace

std::string certificate_mistake(const std::string& file, CertificateUse use, const std::string& host) {
    const auto certificate = read_certificate(file);
    if (!certificate) return {};
    std::string why = why_not_for(certificate.get(), use);
    if (why.empty()) why = why_not_of(certificate.get(), host);
    return why.empty() ? why : base::escape(file) + ' ' + why;
}

}  // namespace vitalwire::bus
