#include "CAngelKernels.h"
