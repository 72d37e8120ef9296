#pragma once

// src/runtime: what makes a daemon of a state machine.
//   config.hpp             configuration files: sections of key = value, every mistake reported with file and line
//   config_values.hpp      the values in force, where each is from, and what a reload changes
//   reload.hpp             reads the configuration of a running daemon again, and tells what that changed
//   command_line.hpp       the command line of a daemon with such a file
//   file_watch.hpp         looks for changes of the files that a configuration names
//   running_config.hpp     the configuration of a running daemon: reload, and those files followed
//   file.hpp               a whole small file
//   standard_output.hpp    the end of a program that has printed something
//   secret.hpp             a secret from the file or the variable that a section names
//   notify.hpp             systemd: ready, watchdog, status
//   daemon.hpp             the event loop of a daemon: signals, reload, watchdog
//   journal_entry.hpp      a line of the log as the journal has it
//   logging.hpp            lines of base/log.hpp to the journal or to standard error, written by a thread
//   metrics.hpp            counters and gauges for /metrics
//   problems.hpp           what is wrong now, since when
//   store.hpp              what must survive a restart: write-behind tables
//   stored_table.hpp       one of them, for what comes and goes while the daemon runs
//   unreadable_rows.hpp    rows of it that could not be read, kept
//   sqlite_file.hpp        the SQLite file under them
//   timer.hpp              a timer that never fires after it was cancelled
//   admission.hpp          a listening socket that no address can fill for others
//   listen.hpp             TCP and UNIX listening sockets
//   listen_config.hpp      an address to listen on, in a configuration
//   listen_holder.hpp      the other program that listens at an address
//   unix_listener.hpp      a UNIX listening socket of any type, without Asio
//   amqp/amqp_session.hpp  a session with a broker: blocking, on a thread of its own
//   http/http_server.hpp   the HTTP interface, over TCP or a UNIX socket
//   http/router.hpp        its pages, and who may ask for them
//   http/reload_page.hpp   the page that does so
//   http/http_list.hpp     long lists, page by page
//   http/http_client.hpp   requests to sinks and clouds
//   http/http_date.hpp     the Date of an answer
//   http/retry_after.hpp    how long who answered asks to be left alone
