// Libraries opened at run time with dlopen, declared in C, so that the binary starts where they are not installed.
#pragma once
#include "curl_shim.h"
#include "microhttpd_shim.h"
#include "mpi_shim.h"
