// What Swift cannot ask for itself: libraries opened at run time with dlopen, declared in C, so that the binary starts where
// they are not installed; and a call with a variable number of arguments.
#pragma once
#include "curl_shim.h"
#include "microhttpd_shim.h"
#include "mpi_shim.h"
#include "pages_shim.h"
