#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "guest/app_protocol.hpp"
#include "guest/health_board.hpp"
#include "guest/judge.hpp"

namespace vitalwire::guest {

/// Applications that want to be watched and are not: warnings for the operator, until they are watched or ask no more.
class Unwatched {
public:
    Unwatched(Judge& judge, HealthBoard& board) : judge_(judge), board_(board), expiry_(judge) {}

    /// `name`: what the board calls it. `what`: what was refused.
    void add(const std::string& name, const std::string& what, const base::Error& why);
    void remove(const std::string& name);
    std::vector<app::Item> list() const;
    void stop() { expiry_.cancel(); }

private:
    struct Entry {
        std::string why;
        base::TimePoint until;  ///< not asked for again by then: not wanted any more
    };
    void expire();

    Judge& judge_;
    HealthBoard& board_;
    JudgedTimer expiry_;
    std::map<std::string, Entry> entries_;
};

}  // namespace vitalwire::guest
