#pragma once

#include <string_view>
#include <vector>

#include "runtime/http/router.hpp"

namespace vitalwire::controller {

/// A file of web/dist, part of the program: the page is always that of this release, and needs no path.
struct WebFile {
    std::string_view name;
    std::string_view content;
};
const std::vector<WebFile>& web_files();

/// The web page at `/` and what it loads. It holds nothing to protect: what it shows it asks the API for.
void add_web_pages(runtime::Router& router);

}  // namespace vitalwire::controller
