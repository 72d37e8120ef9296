#include "runtime/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <utility>

#include "runtime/logging.hpp"

namespace vitalwire::runtime {

namespace {
/// Upper bounds in seconds, three a decade where heartbeats live.
const prometheus::Histogram::BucketBoundaries kBuckets = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2,
                                                          0.5,   1,     2,     5,    10,   20,   60};
}  // namespace

class Metrics::Impl {
public:
    prometheus::Registry registry;
    std::map<prometheus::Gauge*, std::function<double()>> gauges;
    std::map<prometheus::Counter*, std::function<std::uint64_t()>> counters;
};

void Counter::add(double amount) const {
    if (counter_ != nullptr) static_cast<prometheus::Counter*>(counter_)->Increment(amount);
}

double Counter::value() const {
    return counter_ == nullptr ? 0 : static_cast<prometheus::Counter*>(counter_)->Value();
}

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {
    counter("vitalwire_log_lines_dropped_total", "Lines of the log that standard error did not take in time.",
            dropped_log_lines);
}
Metrics::~Metrics() = default;

Counter Metrics::counter(const std::string& name, const std::string& help, const Labels& labels) {
    Counter counter;
    counter.counter_ = &prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry).Add(labels);
    return counter;
}

void Metrics::counter(const std::string& name, const std::string& help, std::function<std::uint64_t()> read,
                      const Labels& labels) {
    auto& counter = prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry).Add(labels);
    impl_->counters[&counter] = std::move(read);
}

void Metrics::gauge(const std::string& name, const std::string& help, std::function<double()> read,
                    const Labels& labels) {
    auto& gauge = prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry).Add(labels);
    impl_->gauges[&gauge] = std::move(read);
}

std::function<void(double)> Metrics::histogram(const std::string& name, const std::string& help, const Labels& labels) {
    auto& histogram =
        prometheus::BuildHistogram().Name(name).Help(help).Register(impl_->registry).Add(labels, kBuckets);
    return [&histogram](double seconds) { histogram.Observe(seconds); };
}

std::string Metrics::text() const {
    for (const auto& [gauge, read] : impl_->gauges)
        gauge->Set(read());
    for (const auto& [counter, read] : impl_->counters)
        counter->Increment(static_cast<double>(read()) - counter->Value());
    return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace vitalwire::runtime
