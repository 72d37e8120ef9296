#include "controller/openstack/nova_client.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "base/text.hpp"
#include "runtime/http/http_date.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using base::Errc;
using base::fail;
using base::Result;
using nlohmann::json;
using runtime::HttpClientRequest;
using runtime::HttpClientResponse;

namespace {

constexpr const char* kCompute = "compute";
/// Minor versions of 2.x: from the first one embeds the flavor's extra specs into the server; nothing after the second
/// was looked at.
constexpr int kOldest = 47;
constexpr int kNewest = 93;
/// Servers in one answer: some 500 KB, read in some ten milliseconds, in which the event loop does nothing else.
constexpr int kServersInPage = 200;
constexpr int kGroupsInPage = 200;
constexpr wire::JsonLimits kListLimits{32, 100'000};
constexpr std::size_t kShownPage = 160;

base::WallTime date_of(const Result<HttpClientResponse>& response) {
    if (!response) return {};
    const auto header = response->headers.find("date");
    if (header == response->headers.end()) return {};
    return runtime::parse_http_date(header->second).value_or(base::WallTime{});
}

/// A list that is read page by page. Each page has to bring something new, or markers that go round, or a proxy that
/// drops them, would be followed without end.
struct PagedList {
    std::unordered_set<std::string> ids;

    /// Of those of a server or group that Nova could not report more of, too.
    bool add(const json& page, const char* key) {
        bool is_new = false;
        for (const json& element : *wire::find(page, key))
            is_new = ids.insert(wire::text_or(element, "id")).second || is_new;
        return is_new;
    }
};

Result<void> check_goes_on(PagedList& listing, const json& page, const char* key, const std::string& path) {
    if (listing.add(page, key)) return {};
    return fail(Errc::malformed, std::string("Nova's list '") + key + "' does not end: " +
                                     base::excerpt(path, kShownPage) + " has nothing that the pages before it lack");
}

Result<json> body_of(const Result<HttpClientResponse>& response) {
    if (!response) return tl::make_unexpected(response.error());
    if (response->status == 403) return fail(Errc::permission, "Nova: " + describe_answer(*response));
    if (response->status == 404) {
        // Nova that has no such thing, unlike a proxy that finds no Nova.
        const auto answer = wire::parse_object(response->body, kListLimits);
        const bool proof = answer && wire::find(*answer, "itemNotFound") != nullptr;
        return fail(proof ? Errc::not_found : Errc::unknown_address, "Nova: " + describe_answer(*response));
    }
    if (response->status == 406) return fail(Errc::unsupported_version, "Nova: " + describe_answer(*response));
    if (response->status < 200 || response->status >= 300)
        return fail(Errc::unavailable, "Nova: " + describe_answer(*response));
    auto body = wire::parse_object(response->body, kListLimits);
    if (!body) return fail(Errc::malformed, "Nova's answer: " + body.error().message);
    return body;
}

/// The newest minor version of 2.x that the version document names; 0: none.
int newest_minor(const json& document) {
    const json* version = wire::find(document, "version");
    if (version == nullptr) return 0;
    int minor = 0;
    const std::string text = wire::text_or(*version, "version");
    return std::sscanf(text.c_str(), "2.%5d", &minor) == 1 ? minor : 0;
}

/// The elements of a list, each as `read` reads it.
template <class T, class Read>
Result<void> read_list(const json& body, const char* key, Read read, std::vector<T>& into) {
    const json* list = wire::find(body, key);
    if (list == nullptr || !list->is_array())
        return fail(Errc::malformed, std::string("Nova's answer: expected a list '") + key + "'");
    for (const json& element : *list) {
        if (auto problem = read(element, into); !problem) return problem;
    }
    return {};
}

Result<void> add_server(const json& element, std::vector<NovaServer>& servers) {
    auto server = read_server(element);
    if (!server) return tl::make_unexpected(server.error());
    if (*server) servers.push_back(std::move(**server));
    return {};
}

Result<void> add_group(const json& element, std::vector<NovaGroup>& groups) {
    auto group = read_group(element);
    if (!group) return tl::make_unexpected(group.error());
    groups.push_back(std::move(*group));
    return {};
}

/// The query of the link to the next page; its host may be one that only Nova can resolve.
std::string next_query(const json& body) {
    const json* links = wire::find(body, "servers_links");
    if (links == nullptr || !links->is_array()) return {};
    for (const json& link : *links) {
        const std::string href = wire::text_or(link, "href");
        const std::size_t query = href.find('?');
        if (wire::text_or(link, "rel") == "next" && query != std::string::npos) return href.substr(query);
    }
    return {};
}

}  // namespace

class NovaClient::Impl : public std::enable_shared_from_this<Impl> {
public:
    using Got = std::function<void(Result<json>)>;
    using GotAt = std::function<void(Result<json>, ListedAt)>;

    explicit Impl(Keystone& keystone) : keystone_(keystone) {}

    void list_servers(const std::string& changed_since, Page<Servers> page, Done<void> done) {
        std::string query = "?all_tenants=1&limit=" + std::to_string(kServersInPage);
        if (!changed_since.empty()) query += "&changes-since=" + changed_since;
        next_servers(query, std::make_shared<PagedList>(), std::move(page), std::move(done));
    }

    void list_groups(Page<Groups> page, Done<void> done) {
        next_groups(0, std::make_shared<PagedList>(), std::move(page), std::move(done));
    }

    void get_server(const base::GuestId& server, Done<std::optional<NovaServer>> done) {
        get("/servers/" + server.str(), [done = std::move(done)](const Result<json>& body) {
            if (!body && body.error().code == Errc::not_found) return done(std::optional<NovaServer>());
            if (!body) return done(tl::make_unexpected(body.error()));
            const json* found = wire::find(*body, "server");
            auto read = read_server(found == nullptr ? json() : *found);
            if (read && !*read) return done(fail(Errc::unavailable, "Nova: the server's cell is down"));
            done(std::move(read));
        });
    }

    void get_group(const base::GroupId& group, Done<std::optional<NovaGroup>> done) {
        get("/os-server-groups/" + group.str(), [done = std::move(done)](const Result<json>& body) {
            if (!body && body.error().code == Errc::not_found) return done(std::optional<NovaGroup>());
            if (!body) return done(tl::make_unexpected(body.error()));
            const json* found = wire::find(*body, "server_group");
            auto read = read_group(found == nullptr ? json() : *found);
            if (!read) return done(tl::make_unexpected(read.error()));
            done(std::optional(std::move(*read)));
        });
    }

    void stop() { stopped_ = true; }

private:
    using PagedListPtr = std::shared_ptr<PagedList>;

    void next_servers(const std::string& query, const PagedListPtr& listing, Page<Servers> page, Done<void> done) {
        const std::string path = "/servers/detail" + query;
        get_at(path, [self = shared_from_this(), path, listing, page = std::move(page), done = std::move(done)](
                         const Result<json>& body, ListedAt at) mutable {
            if (!body) return done(tl::make_unexpected(body.error()));
            Servers servers;
            if (auto read = read_list(*body, "servers", add_server, servers); !read)
                return done(tl::make_unexpected(read.error()));
            page(servers, at);
            const std::string next = next_query(*body);
            if (next.empty()) return done({});
            if (auto goes_on = check_goes_on(*listing, *body, "servers", path); !goes_on)
                return done(tl::make_unexpected(goes_on.error()));
            self->next_servers(next, listing, std::move(page), std::move(done));
        });
    }

    /// Nova pages groups by offset and marks nowhere that there are more; its own limit may be below ours. One that is
    /// deleted between two pages shifts the others: what a listing lacks is no proof (get_group).
    void next_groups(std::size_t before, const PagedListPtr& listing, Page<Groups> page, Done<void> done) {
        const std::string path = "/os-server-groups?all_projects=1&limit=" + std::to_string(kGroupsInPage) +
                                 "&offset=" + std::to_string(before);
        get_at(path, [self = shared_from_this(), path, before, listing, page = std::move(page), done = std::move(done)](
                         const Result<json>& body, ListedAt at) mutable {
            if (!body) return done(tl::make_unexpected(body.error()));
            Groups groups;
            if (auto read = read_list(*body, "server_groups", add_group, groups); !read)
                return done(tl::make_unexpected(read.error()));
            if (groups.empty()) return done({});
            if (auto goes_on = check_goes_on(*listing, *body, "server_groups", path); !goes_on)
                return done(tl::make_unexpected(goes_on.error()));
            page(groups, at);
            self->next_groups(before + groups.size(), listing, std::move(page), std::move(done));
        });
    }

    void get(const std::string& path, Got got) {
        get_at(path, [got = std::move(got)](Result<json> body, ListedAt /*at*/) { got(std::move(body)); });
    }

    void get_at(const std::string& path, GotAt got) {
        if (minor_ == 0) return negotiate(path, std::move(got));
        ask(path, minor_, [self = shared_from_this(), got = std::move(got)](Result<json> body, ListedAt at) {
            // Nova was exchanged for another one: agreed on again with the next call.
            if (!body && body.error().code == Errc::unsupported_version) self->minor_ = 0;
            got(std::move(body), at);
        });
    }

    void negotiate(const std::string& path, GotAt got) {
        ask("/", 0,
            [self = shared_from_this(), path, got = std::move(got)](const Result<json>& body, ListedAt at) mutable {
                // Where the endpoint holds a project's id there is no such document; a refusal will name what is wrong.
                const bool no_document =
                    !body && (body.error().code == Errc::not_found || body.error().code == Errc::unknown_address);
                if (!body && !no_document) return got(tl::make_unexpected(body.error()), at);
                const int newest = no_document ? kOldest : newest_minor(*body);
                if (newest < kOldest)
                    return got(
                        fail(Errc::unsupported_version, "Nova's API is 2." + std::to_string(newest) + ", expected 2." +
                                                            std::to_string(kOldest) + " or newer"),
                        at);
                const int minor = std::min(newest, kNewest);
                // A proxy answers 404, too, until Nova is up: that is not remembered.
                if (body) self->minor_ = minor;
                self->ask(path, minor, std::move(got));
            });
    }

    void ask(const std::string& path, int minor, GotAt got) {
        HttpClientRequest request;
        request.url = path;
        if (minor > 0) request.headers["OpenStack-API-Version"] = "compute 2." + std::to_string(minor);
        keystone_.call(kCompute, std::move(request),
                       [self = shared_from_this(), got = std::move(got)](const Result<HttpClientResponse>& response) {
                           if (!self->stopped_) got(body_of(response), date_of(response));
                       });
    }

    Keystone& keystone_;
    int minor_ = 0;  ///< agreed on; 0: not yet
    bool stopped_ = false;
};

NovaClient::NovaClient(Keystone& keystone) : impl_(std::make_shared<Impl>(keystone)) {}

NovaClient::~NovaClient() {
    impl_->stop();
}

void NovaClient::list_servers(const std::string& changed_since, Page<Servers> page, Done<void> done) {
    impl_->list_servers(changed_since, std::move(page), std::move(done));
}

void NovaClient::list_groups(Page<Groups> page, Done<void> done) {
    impl_->list_groups(std::move(page), std::move(done));
}

void NovaClient::get_group(const base::GroupId& group, Done<std::optional<NovaGroup>> done) {
    impl_->get_group(group, std::move(done));
}

void NovaClient::get_server(const base::GuestId& server, Done<std::optional<NovaServer>> done) {
    impl_->get_server(server, std::move(done));
}

}  // namespace vitalwire::controller
