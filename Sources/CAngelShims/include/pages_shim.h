// Memory that changes its address: Swift does not import mremap, which takes a variable number of arguments.
#pragma once
#include <stddef.h>

// Moves the `size` bytes at `from`, of one private anonymous mapping, to `to` in place of what is mapped there; what lay at
// `from` reads as zero. Both are multiples of the page. 0, or an errno (Linux before 5.7: EINVAL), and then `to` reads as zero,
// unless there is no room for the mapping either: then nothing may be mapped there.
int angel_move_pages(void *from, void *to, size_t size);
