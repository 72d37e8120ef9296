#pragma once

// cli: the operator's command `vitalwire` (vitalwire.1). It reads from a controller, or from the agent on this host,
// over HTTP and prints the answers.
//   options.hpp  the command line and the environment
//   client.hpp   requests to the first of several sources that answers
//   queries.hpp  the answer that a command shows, from one or several pages
//   select.hpp   one entry by id, name or prefix; filters
//   answer.hpp   what views read from answers
//   views.hpp    answers as tables and text (lists, details, top)
//   events.hpp   what happened, from faults
//   live.hpp     top, and events as they happen
//   format.hpp   JSON and YAML
//   table.hpp    aligned columns, CSV
//   human.hpp    times, durations and terminals as people read them
//   output.hpp   standard output, and whether it could be written
