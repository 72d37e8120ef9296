#include "controller/openstack/vitrage_client.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.hpp"
#include "runtime/http/retry_after.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using base::Result;
using nlohmann::json;
using runtime::HttpClientRequest;
using runtime::HttpClientResponse;

namespace {

constexpr const char* kRca = "rca";
/// Alarms in one answer: some 1 MB, parsed in some ten milliseconds. Vitrage itself stops at 10000, without a word.
constexpr std::size_t kAlarmsInPage = 1000;
constexpr int kMaxPages = 100;
constexpr wire::JsonLimits kPageLimits{16, 20'000};

tl::unexpected<Outcome> unreadable(std::string why, base::Millis delay = {}) {
    return tl::make_unexpected(Outcome::retry(std::move(why), delay));
}

tl::expected<json, Outcome> alarms_in(const Result<HttpClientResponse>& response) {
    if (!response) return unreadable(response.error().message);
    if (response->status != 200)
        return unreadable("Vitrage: " + describe_answer(*response), runtime::retry_after(*response));
    auto alarms = wire::parse_array(response->body, kPageLimits);
    if (!alarms) return unreadable("Vitrage's list of alarms: " + alarms.error().message);
    return std::move(*alarms);
}

std::string first_page() {
    // The filter is an SQL LIKE: others' datasources can slip through.
    return "/v1/alarm?all_tenants=1&filter_by=vitrage_type&filter_vals=vitalwire&limit=" +
           std::to_string(kAlarmsInPage);
}

}  // namespace

class VitrageClient::Impl : public std::enable_shared_from_this<Impl> {
public:
    explicit Impl(Keystone& keystone) : keystone_(keystone) {}

    void post(const json& event, Posted posted) {
        HttpClientRequest request;
        request.method = "POST";
        request.url = "/v1/event";
        request.body = wire::dump(event);
        keystone_.call(kRca, std::move(request),
                       [self = shared_from_this(), posted = std::move(posted)](const auto& response) {
                           if (!self->stopped_) posted(response);
                       });
    }

    void list(Listed listed) {
        waiting_.push_back(std::move(listed));
        if (asked_.empty()) ask();
    }

    void stop() { stopped_ = true; }

private:
    void ask() {
        asked_ = std::exchange(waiting_, {});
        next_page(first_page(), std::make_shared<Alarms>());
    }

    void next_page(const std::string& path, const std::shared_ptr<Alarms>& alarms) {
        HttpClientRequest request;
        request.url = path;
        keystone_.call(kRca, std::move(request), [self = shared_from_this(), alarms](const auto& response) {
            if (!self->stopped_) self->take_page(alarms_in(response), alarms);
        });
    }

    void take_page(const tl::expected<json, Outcome>& page, const std::shared_ptr<Alarms>& alarms) {
        if (!page) return answer(tl::make_unexpected(page.error()));
        for (const json& alarm : *page) {
            if (wire::text_or(alarm, "vitrage_type") != "vitalwire") continue;
            alarms->push_back({wire::text_or(alarm, "name"), wire::text_or(alarm, "instance_id"),
                               wire::text_or(alarm, "monitor_event_id")});
        }
        if (page->size() < kAlarmsInPage) return answer(std::move(*alarms));
        const std::string last = wire::text_or(page->back(), "vitrage_id");
        if (!base::is_uuid(last)) return answer(unreadable("Vitrage's list of alarms: one has no vitrage_id"));
        if (++pages_ >= kMaxPages) return answer(unreadable("Vitrage's list of alarms does not end"));
        next_page(first_page() + "&marker=" + last, alarms);
    }

    void answer(const tl::expected<Alarms, Outcome>& alarms) {
        pages_ = 0;
        for (const Listed& listed : std::exchange(asked_, {}))
            listed(alarms);
        if (asked_.empty() && !waiting_.empty() && !stopped_) ask();
    }

    Keystone& keystone_;
    std::vector<Listed> asked_;    ///< get the list that is under way
    std::vector<Listed> waiting_;  ///< get the next one
    int pages_ = 0;                ///< before the one under way
    bool stopped_ = false;
};

VitrageClient::VitrageClient(Keystone& keystone) : impl_(std::make_shared<Impl>(keystone)) {}

VitrageClient::~VitrageClient() {
    impl_->stop();
}

void VitrageClient::post(const json& event, Posted posted) {
    impl_->post(event, std::move(posted));
}

void VitrageClient::list(Listed listed) {
    impl_->list(std::move(listed));
}

}  // namespace vitalwire::controller
