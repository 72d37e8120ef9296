#include "bus/tls_context.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/ui.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <boost/asio/ip/address.hpp>
#include <chrono>
#include <ctime>
#include <utility>

#include "base/host_name.hpp"
#include "base/log.hpp"
#include "base/text.hpp"

namespace vitalwire::bus {

namespace ssl = boost::asio::ssl;
using base::Errc;
using base::fail;
using base::Result;
using boost::system::error_code;

namespace {

bool same(const timespec& a, const timespec& b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

std::string text_of(const ASN1_STRING* value) {
    unsigned char* utf8 = nullptr;
    const int size = ASN1_STRING_to_UTF8(&utf8, value);
    if (size < 0) return {};
    std::string out(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
    OPENSSL_free(utf8);
    return out;
}

/// "2026-11-29 10:00:00 UTC"
std::string utc(std::time_t time) {
    std::tm parts{};
    gmtime_r(&time, &parts);
    std::array<char, 32> text{};
    return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts)};
}

/// In place of OpenSSL's, which asks on the terminal or standard input, and waits for an answer.
int refuse_passphrase(char*, int, int, void* asked) {
    *static_cast<bool*>(asked) = true;
    return -1;
}

}  // namespace

Result<TlsContext> TlsContext::load(Role role, TlsFiles files) {
    TlsContext out(role, std::move(files));
    out.seen_ = out.stamps();
    auto context = out.make();
    if (!context) return tl::make_unexpected(context.error());
    out.context_ = std::move(*context);
    return out;
}

std::shared_ptr<ssl::context> TlsContext::current() {
    const Stamps now = stamps();
    if (std::equal(now.begin(), now.end(), seen_.begin(), same)) return context_;
    seen_ = now;
    auto renewed = make();
    if (renewed) {
        log::info("certificates read again", {{"certificate", files_.certificate}});
        context_ = std::move(*renewed);
    } else {
        log::error("renewed certificates cannot be used, keeping the old ones", {{"why", renewed.error().message}});
    }
    return context_;
}

Result<void> TlsContext::use(TlsFiles files) {
    auto other = load(role_, std::move(files));
    if (!other) return tl::make_unexpected(other.error());
    *this = std::move(*other);
    return {};
}

TlsContext::Stamps TlsContext::stamps() const {
    Stamps out{};
    auto* stamp = out.data();
    for (const std::string* path : {&files_.ca, &files_.certificate, &files_.key, &files_.crl}) {
        struct stat status {};
        if (stat(path->c_str(), &status) == 0) *stamp = status.st_mtim;
        ++stamp;
    }
    return out;
}

Result<std::shared_ptr<ssl::context>> TlsContext::make() const {
    const bool mutual = role_ != Role::http_server;
    if (files_.certificate.empty() || files_.key.empty())
        return fail(Errc::config, mutual ? "tls:// needs a CA file, a certificate and its key"
                                         : "HTTP over TLS needs a certificate and its key");
    if (mutual && files_.ca.empty()) return fail(Errc::config, "tls:// needs a CA file, a certificate and its key");
    const auto context =
        std::make_shared<ssl::context>(role_ == Role::client ? ssl::context::tls_client : ssl::context::tls_server);
    UI_set_default_method(UI_null());  // whatever else is read asks nobody either
    // Scrapers and proxies are others' programs, of any age that is still safe.
    SSL_CTX_set_min_proto_version(context->native_handle(), mutual ? TLS1_3_VERSION : TLS1_2_VERSION);
    // Nothing is resumed: every connection shows its certificate, and no ticket is written to a peer that has gone.
    SSL_CTX_set_num_tickets(context->native_handle(), 0);
    SSL_CTX_set_session_cache_mode(context->native_handle(), SSL_SESS_CACHE_OFF);
    if (mutual) context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert);

    const auto wrong = [](const std::string& file, const error_code& error) {
        return fail(Errc::config, base::escape(file) + ": " + error.message());
    };
    error_code error;
    if (mutual) context->load_verify_file(files_.ca, error);
    if (error) return wrong(files_.ca, error);
    if (!files_.crl.empty()) {
        X509_STORE* store = SSL_CTX_get_cert_store(context->native_handle());
        X509_LOOKUP* lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
        if (lookup == nullptr || X509_load_crl_file(lookup, files_.crl.c_str(), X509_FILETYPE_PEM) < 1) {
            ERR_clear_error();
            return fail(Errc::config, base::escape(files_.crl) + ": expected a certificate revocation list (PEM)");
        }
        X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    }
    context->use_certificate_chain_file(files_.certificate, error);
    if (error) return wrong(files_.certificate, error);
    bool needs_passphrase = false;
    SSL_CTX_set_default_passwd_cb(context->native_handle(), refuse_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(context->native_handle(), &needs_passphrase);
    context->use_private_key_file(files_.key, ssl::context::pem, error);
    SSL_CTX_set_default_passwd_cb_userdata(context->native_handle(), nullptr);
    SSL_CTX_set_default_passwd_cb(context->native_handle(), nullptr);
    if (needs_passphrase)
        return fail(Errc::config, base::escape(files_.key) + ": needs a passphrase; expected one without");
    if (error) return wrong(files_.key, error);
    return context;
}

std::vector<std::string> certificate_names(SSL* connection) {
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(connection), X509_free);
    return certificate ? certificate_names(certificate.get()) : std::vector<std::string>();
}

std::vector<std::string> certificate_names(const X509* certificate) {
    std::vector<std::string> out;
    auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS) continue;
        std::string text = text_of(name->d.dNSName);
        // A zero byte inside would make one name look like another to a reader of C strings.
        if (!text.empty() && text.find('\0') == std::string::npos) out.push_back(base::canonical_host_name(text));
    }
    GENERAL_NAMES_free(names);
    return out;
}

bool is_peer_revoked(SSL* connection, SSL_CTX* context) {
    const std::unique_ptr<X509, decltype(&X509_free)> peer(SSL_get1_peer_certificate(connection), X509_free);
    const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> check(X509_STORE_CTX_new(),
                                                                                X509_STORE_CTX_free);
    if (!peer || !check ||
        X509_STORE_CTX_init(check.get(), SSL_CTX_get_cert_store(context), peer.get(),
                            SSL_get_peer_cert_chain(connection)) != 1)
        return false;
    X509_STORE_CTX_set_flags(check.get(), X509_V_FLAG_NO_CHECK_TIME);
    const bool valid = X509_verify_cert(check.get()) == 1;
    ERR_clear_error();
    return !valid && X509_STORE_CTX_get_error(check.get()) == X509_V_ERR_CERT_REVOKED;
}

void expect_host(SSL* connection, const std::string& host) {
    error_code no_address;
    boost::asio::ip::make_address(host, no_address);
    if (!no_address) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection), host.c_str());
        return;
    }
    SSL_set_hostflags(connection, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set1_host(connection, host.c_str());
    SSL_set_tlsext_host_name(connection, host.c_str());
}

std::string explain_handshake(SSL* connection, const error_code& error) {
    const long verified = SSL_get_verify_result(connection);
    if (verified == X509_V_OK) {
        const int reason = ERR_GET_REASON(static_cast<unsigned long>(error.value()));
        if (reason <= SSL_AD_REASON_OFFSET) return "TLS: " + error.message();
        return std::string("the peer rejects our certificate: ") +
               SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET);
    }
    std::string out = std::string("the peer's certificate is rejected: ") + X509_verify_cert_error_string(verified);
    const bool about_time = verified == X509_V_ERR_CERT_NOT_YET_VALID || verified == X509_V_ERR_CERT_HAS_EXPIRED ||
                            verified == X509_V_ERR_CRL_NOT_YET_VALID || verified == X509_V_ERR_CRL_HAS_EXPIRED;
    if (about_time) out += "; if that is wrong, look at this host's clock: it is " + utc(std::time(nullptr));
    return out;
}

Result<Validity> certificate_validity(const std::string& file) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_file(file.c_str(), "r"), BIO_free);
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(
        bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr, X509_free);
    std::tm begin{};
    std::tm end{};
    if (!certificate || ASN1_TIME_to_tm(X509_get0_notBefore(certificate.get()), &begin) != 1 ||
        ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &end) != 1) {
        ERR_clear_error();
        return fail(Errc::config, base::escape(file) + ": expected a certificate (PEM)");
    }
    using std::chrono::system_clock;
    return Validity{system_clock::from_time_t(timegm(&begin)), system_clock::from_time_t(timegm(&end))};
}

}  // namespace vitalwire::bus
