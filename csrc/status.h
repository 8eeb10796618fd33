/* What a status of pycnn.h says in words. */
#ifndef PYCNN_STATUS_H
#define PYCNN_STATUS_H

/* Never NULL; the words live as long as the process. */
const char *pycnn_strerror(int status);

#endif
