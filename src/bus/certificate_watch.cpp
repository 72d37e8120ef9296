#include "bus/certificate_watch.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "bus/tls_context.hpp"

namespace vitalwire::bus {

namespace {

using Days = std::chrono::duration<int, std::ratio<86400>>;
constexpr Days kNotice{30};
constexpr std::chrono::seconds kPause{10};

base::WallTime::duration notice_of(const Validity& validity) {
    return std::min<base::WallTime::duration>(kNotice, (validity.end - validity.begin) / 3);
}

std::string problem_of(const std::string& file, base::WallTime now) {
    const auto validity = certificate_validity(file);
    if (!validity) return validity.error().message;
    const std::string clock = ", this host's clock says " + base::to_iso8601(now);
    if (now < validity->begin) return file + " is valid from " + base::to_iso8601(validity->begin) + " on" + clock;
    if (now >= validity->end) return file + " has expired at " + base::to_iso8601(validity->end) + clock;
    if (validity->end - now >= notice_of(*validity)) return "";
    return file + " expires at " + base::to_iso8601(validity->end);
}

/// Files that fit each other, which is what TLS takes; empty when they do. Half of a renewal leaves the files before in
/// use.
std::string unusable(const TlsFiles& files) {
    if (files.certificate.empty()) return "";
    using Role = TlsContext::Role;
    const auto context = TlsContext::load(files.ca.empty() ? Role::http_server : Role::client, files);
    return context ? "" : context.error().message + "; what was read before is in use";
}

}  // namespace

std::string certificate_problem(const TlsFiles& files, base::WallTime now) {
    std::string out;
    for (const std::string* file : {&files.certificate, &files.ca}) {
        const std::string problem = file->empty() ? "" : problem_of(*file, now);
        if (!problem.empty()) out += (out.empty() ? "" : "; ") + problem;
    }
    return out;
}

CertificateWatch::CertificateWatch(boost::asio::io_context& io, TlsFiles files,
                                   std::function<void(const std::string&)> report)
    : files_(std::move(files)), report_(std::move(report)), timer_(io) {
    look();
}

void CertificateWatch::watch(TlsFiles files) {
    files_ = std::move(files);
    look();
}

double CertificateWatch::seconds_left() const {
    if (!used_) return 0;
    return std::chrono::duration<double>(used_->end - std::chrono::system_clock::now()).count();
}

double CertificateWatch::notice_seconds() const {
    return used_ ? std::chrono::duration<double>(used_->notice).count() : 0;
}

void CertificateWatch::look() {
    std::string problem = certificate_problem(files_, std::chrono::system_clock::now());
    const std::string why = unusable(files_);
    if (why.empty()) {
        const auto validity = certificate_validity(files_.certificate);
        used_ = validity ? std::optional(Used{validity->end, notice_of(*validity)}) : std::nullopt;
    } else if (problem.empty()) {
        problem = why;
    }
    report_(problem);
    timer_.after(kPause, [this] { look(); });
}

}  // namespace vitalwire::bus
