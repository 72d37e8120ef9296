#pragma once

// cli: the operator's command `vitalwire` (vitalwire.1). It asks a controller, or the agent on this host, over HTTP and
// prints what it hears.
//   options.hpp  the command line and the environment
//   client.hpp   asks the first of several sources that answers
//   human.hpp    times, durations and terminals as people read them
//   table.hpp    aligned columns
//   views.hpp    an answer as text
//   changes.hpp  what is different between two answers
//   watch.hpp    shows an answer anew every second
