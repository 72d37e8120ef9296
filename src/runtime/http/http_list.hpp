#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "runtime/http/http_server.hpp"

namespace vitalwire::runtime {

struct ListEntry {
    std::string cursor;  ///< of this entry, for `?after=`
    std::string json;    ///< empty: nothing to list here, there may be more
};

/// `?limit=` of a list: entries of one page. Absent: all; none for something else than a number from 1 to 100 000.
struct ListLimit {
    bool valid = true;
    std::size_t entries = 0;  ///< 0: all
};
ListLimit list_limit(const HttpRequest& request);

/// Answers `{"NAME":[...]}` in pieces, each made in a turn of the loop: a list of any length delays nobody. With
/// `limit` entries written and more to come, `"next"` is what to give as `after` for the next page. `next_entry`
/// returns nothing at the end; it may be called after what it lists has changed.
HttpResponse list_reply(const std::string& name, std::size_t limit,
                        std::function<std::optional<ListEntry>()> next_entry);

}  // namespace vitalwire::runtime
