#include "controller/http/web_pages.hpp"

#include <map>
#include <string>

namespace vitalwire::controller {

namespace {

/// Nothing from elsewhere, nothing inline, in no other page's frame.
constexpr const char* kPolicy =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

std::string content_type(std::string_view name) {
    static const std::map<std::string_view, std::string> kTypes = {
        {".css", "text/css; charset=utf-8"},
        {".html", "text/html; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".svg", "image/svg+xml"},
    };
    return kTypes.at(name.substr(name.rfind('.')));
}

}  // namespace

void add_web_pages(runtime::Router& router) {
    for (const WebFile& file : web_files()) {
        const std::string path = file.name == "index.html" ? "/" : "/" + std::string(file.name);
        router.add("GET", path, runtime::Router::Right::everybody, [file](const auto&, const auto&) {
            runtime::HttpResponse response{200, content_type(file.name), std::string(file.content)};
            response.headers = {{"Content-Security-Policy", kPolicy}, {"Referrer-Policy", "no-referrer"}};
            return response;
        });
    }
}

}  // namespace vitalwire::controller
