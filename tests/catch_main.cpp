// Catch2 2 needs a main of its own; Catch2 3 brings one as a library, and this file is then not built.
#define CATCH_CONFIG_MAIN
#include "tests/catch.h"
