#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace vitalwire::runtime {

using Labels = std::map<std::string, std::string>;

/// A count that only grows. Cheap to copy, cheap to increment.
class Counter {
public:
    void add(double amount = 1) const;
    double value() const;

private:
    friend class Metrics;
    void* counter_ = nullptr;
};

/// The one way to count: everything here shows up at /metrics in Prometheus' text format. Names are
/// `vitalwire_<program>_<what>_<unit>`.
class Metrics {
public:
    Metrics();
    ~Metrics();
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;

    /// The same name and labels give the same counter. Labels take a bounded set of values, never a guest's text.
    Counter counter(const std::string& name, const std::string& help, const Labels& labels = {});
    /// A count that somebody else keeps, read whenever /metrics is asked.
    void counter(const std::string& name, const std::string& help, std::function<std::uint64_t()> read,
                 const Labels& labels = {});
    /// A value read whenever /metrics is asked.
    void gauge(const std::string& name, const std::string& help, std::function<double()> read,
               const Labels& labels = {});
    /// Observations in seconds, in buckets from 1 ms to 60 s.
    std::function<void(double)> histogram(const std::string& name, const std::string& help, const Labels& labels = {});

    /// Observations that somebody else counts: bucket i holds those below first_bound << i, in seconds, and no less
    /// than the one before; the last one all that is longer.
    struct Counts {
        double first_bound = 0;
        std::vector<std::uint64_t> counts;
        double sum = 0;
    };
    void histogram(const std::string& name, const std::string& help, std::function<Counts()> read);
    /// What has this label is shown no more. Its counters are not to be used after that.
    void remove(const std::string& label, const std::string& value);

    std::string text() const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace vitalwire::runtime
