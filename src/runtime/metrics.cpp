#include "runtime/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

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
    struct Histogram {
        std::string name;
        std::string help;
        std::function<Counts()> read;
    };
    std::vector<Histogram> histograms;

    /// Adds a series that `remove` finds again.
    template <class Family, class... More>
    auto& add(Family& family, const Labels& labels, const More&... more) {
        auto& metric = family.Add(labels, more...);
        if (!labels.empty()) labelled_.push_back({labels, [this, &family, &metric] { erase(family, metric); }});
        return metric;
    }
    void remove(const std::string& label, const std::string& value) {
        std::erase_if(labelled_, [&](const Labelled& series) {
            const auto at = series.labels.find(label);
            if (at == series.labels.end() || at->second != value) return false;
            series.remove();
            return true;
        });
    }

private:
    struct Labelled {
        Labels labels;
        std::function<void()> remove;
    };

    template <class Family, class Metric>
    void erase(Family& family, Metric& metric) {
        if constexpr (std::is_same_v<Metric, prometheus::Gauge>) gauges.erase(&metric);
        if constexpr (std::is_same_v<Metric, prometheus::Counter>) counters.erase(&metric);
        family.Remove(&metric);
    }

    std::vector<Labelled> labelled_;
};

namespace {

prometheus::ClientMetric to_client_metric(const Metrics::Counts& observed) {
    prometheus::ClientMetric metric;
    double bound = observed.first_bound;
    for (std::size_t i = 0; i < observed.counts.size(); ++i) {
        const bool last = i + 1 == observed.counts.size();
        metric.histogram.sample_count += observed.counts[i];
        metric.histogram.bucket.push_back(
            {metric.histogram.sample_count, last ? std::numeric_limits<double>::infinity() : bound});
        bound *= 2;
    }
    metric.histogram.sample_sum = observed.sum;
    return metric;
}

}  // namespace

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
    counter.counter_ = &impl_->add(prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry), labels);
    return counter;
}

void Metrics::counter(const std::string& name, const std::string& help, std::function<std::uint64_t()> read,
                      const Labels& labels) {
    auto& counter = impl_->add(prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry), labels);
    impl_->counters[&counter] = std::move(read);
}

void Metrics::gauge(const std::string& name, const std::string& help, std::function<double()> read,
                    const Labels& labels) {
    auto& gauge = impl_->add(prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry), labels);
    impl_->gauges[&gauge] = std::move(read);
}

std::function<void(double)> Metrics::histogram(const std::string& name, const std::string& help, const Labels& labels) {
    auto& histogram =
        impl_->add(prometheus::BuildHistogram().Name(name).Help(help).Register(impl_->registry), labels, kBuckets);
    return [&histogram](double seconds) { histogram.Observe(seconds); };
}

void Metrics::histogram(const std::string& name, const std::string& help, std::function<Counts()> read) {
    impl_->histograms.push_back({name, help, std::move(read)});
}

void Metrics::remove(const std::string& label, const std::string& value) {
    impl_->remove(label, value);
}

std::string Metrics::text() const {
    for (const auto& [gauge, read] : impl_->gauges)
        gauge->Set(read());
    for (const auto& [counter, read] : impl_->counters)
        counter->Increment(static_cast<double>(read()) - counter->Value());
    std::vector<prometheus::MetricFamily> families = impl_->registry.Collect();
    for (const Impl::Histogram& histogram : impl_->histograms) {
        families.push_back(
            {histogram.name, histogram.help, prometheus::MetricType::Histogram, {to_client_metric(histogram.read())}});
    }
    return prometheus::TextSerializer().Serialize(families);
}

}  // namespace vitalwire::runtime
