#include "CAngelShims.h"
