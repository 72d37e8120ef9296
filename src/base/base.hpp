#pragma once

// src/base: the words every other folder uses. No I/O, no clock is read here.
//   result.hpp        what a function that can fail in normal life returns
//   ids.hpp           strong types for the names of guests, hosts, groups, faults, sessions
//   host_name.hpp     the one form in which names of hosts are compared
//   clock.hpp         the one clock type and durations
//   moment.hpp        when an event happens, by both clocks: what cores are handed
//   text.hpp          UTF-8 checks, escaping and cutting of strings that come from outside
//   log.hpp           the one way to log
//   line_buffer.hpp   a bounded ring of lines, the oldest are dropped
//   token_bucket.hpp  so many a second, and so many at once
//   overloaded.hpp    a visitor of a variant, made of lambdas
