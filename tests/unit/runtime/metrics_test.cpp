#include "runtime/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vitalwire::runtime {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Metrics, ShowsACounterWithItsLabelsAndHelp) {
    Metrics metrics;
    const Counter counter = metrics.counter("vitalwire_agent_nacks_total", "Refused messages", {{"code", "bad_field"}});
    counter.add();
    counter.add(2);
    EXPECT_EQ(counter.value(), 3);
    EXPECT_THAT(metrics.text(), HasSubstr("# HELP vitalwire_agent_nacks_total Refused messages\n"));
    EXPECT_THAT(metrics.text(), HasSubstr("# TYPE vitalwire_agent_nacks_total counter\n"));
    EXPECT_THAT(metrics.text(), HasSubstr("vitalwire_agent_nacks_total{code=\"bad_field\"} 3\n"));
}

TEST(Metrics, GivesTheSameCounterForTheSameNameAndLabels) {
    Metrics metrics;
    metrics.counter("a_total", "A", {{"k", "1"}}).add();
    metrics.counter("a_total", "A", {{"k", "1"}}).add();
    metrics.counter("a_total", "A", {{"k", "2"}}).add();
    EXPECT_EQ(metrics.counter("a_total", "A", {{"k", "1"}}).value(), 2);
}

TEST(Metrics, ReadsAGaugeWhenAsked) {
    Metrics metrics;
    double guests = 1;
    metrics.gauge("guests", "Guests", [&] { return guests; });
    guests = 7;
    EXPECT_THAT(metrics.text(), HasSubstr("guests 7\n"));
    guests = 8;
    EXPECT_THAT(metrics.text(), HasSubstr("guests 8\n"));
    EXPECT_THAT(metrics.text(), Not(HasSubstr("guests 7\n")));
}

TEST(Metrics, SortsObservationsIntoBuckets) {
    Metrics metrics;
    const auto observe = metrics.histogram("delivery_seconds", "Delivery");
    observe(0.003);
    observe(100);
    EXPECT_THAT(metrics.text(), HasSubstr("delivery_seconds_bucket{le=\"0.005\"} 1\n"));
    EXPECT_THAT(metrics.text(), HasSubstr("delivery_seconds_bucket{le=\"60\"} 1\n"));
    EXPECT_THAT(metrics.text(), HasSubstr("delivery_seconds_count 2\n"));
}

TEST(Metrics, ShowsWhatSomebodyElseHasSortedIntoBuckets) {
    Metrics metrics;
    metrics.histogram("answer_seconds", "Answers", [] { return Metrics::Counts{0.5, {3, 0, 4}, 6.5}; });
    EXPECT_THAT(metrics.text(), HasSubstr("# TYPE answer_seconds histogram\n"));
    EXPECT_THAT(metrics.text(), HasSubstr("answer_seconds_count 7\n"));
    EXPECT_THAT(metrics.text(), HasSubstr("answer_seconds_sum 6.5\n"));
    EXPECT_THAT(metrics.text(), HasSubstr("answer_seconds_bucket{le=\"0.5\"} 3\n"));
    EXPECT_THAT(metrics.text(), HasSubstr("answer_seconds_bucket{le=\"1\"} 3\n"));
    EXPECT_THAT(metrics.text(), HasSubstr("answer_seconds_bucket{le=\"+Inf\"} 7\n"));
}

TEST(Metrics, ACounterOfNothingCountsNothing) {
    const Counter counter;
    counter.add();
    EXPECT_EQ(counter.value(), 0);
}

TEST(Metrics, ShowsNothingMoreOfWhatIsRemovedByItsLabel) {
    Metrics metrics;
    for (const std::string sink : {"a", "b"}) {
        metrics.counter("sent_total", "Sent", {{"sink", sink}, {"event", "opened"}}).add();
        metrics.gauge("queued", "Queued", [] { return 1.0; }, {{"sink", sink}});
        metrics.histogram("seconds", "Seconds", {{"sink", sink}})(1);
    }
    metrics.remove("sink", "a");
    EXPECT_THAT(metrics.text(), Not(HasSubstr("sink=\"a\"")));
    EXPECT_THAT(metrics.text(), HasSubstr("queued{sink=\"b\"} 1\n"));
    metrics.gauge("queued", "Queued", [] { return 2.0; }, {{"sink", "a"}});
    EXPECT_THAT(metrics.text(), HasSubstr("queued{sink=\"a\"} 2\n"));
}

}  // namespace
}  // namespace vitalwire::runtime
