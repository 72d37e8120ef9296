#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "bus/transport.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::bus {

/// What is wrong, or soon will be, with the time of a certificate or its CA; empty when all is well. Soon: 30 days
/// before its end, or when two thirds of a shorter life are over.
std::string certificate_problem(const TlsFiles& files, base::WallTime now);

/// Looks at the files of our own certificate at once and every 10 s, as they may be renewed at any time: at its
/// dates, and whether TLS can use them together.
class CertificateWatch {
public:
    /// `report` gets certificate_problem() each time, or why the files cannot be used.
    CertificateWatch(boost::asio::io_context& io, TlsFiles files, std::function<void(const std::string&)> report);

    /// Other files from now on.
    void watch(TlsFiles files);
    /// Until the certificate in use ends; negative when it has. 0 without one.
    double seconds_left() const;
    /// How long before that it is to be renewed; 0 without one.
    double notice_seconds() const;

private:
    void look();

    TlsFiles files_;
    std::function<void(const std::string&)> report_;
    struct Used {
        base::WallTime end{};
        base::WallTime::duration notice{};
    };

    std::optional<Used> used_;  ///< the last files that could be used
    runtime::Timer timer_;
};

}  // namespace vitalwire::bus
