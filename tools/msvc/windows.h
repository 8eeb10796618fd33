/* Stands in for a header of Microsoft's, with what csrc uses of it: see tools/check_platforms.sh. */
#pragma once
#include <stddef.h>
typedef void *PVOID, *LPVOID, *HANDLE;
typedef unsigned long DWORD;
typedef long LONG;
typedef long long LONG64;
typedef int BOOL;
typedef unsigned char BOOLEAN;
typedef size_t SIZE_T;
typedef struct {
    PVOID Ptr;
} SRWLOCK, CONDITION_VARIABLE;
#define SRWLOCK_INIT {0}
#define CONDITION_VARIABLE_INIT {0}
#define WINAPI
#define INFINITE 0xffffffff
void AcquireSRWLockExclusive(SRWLOCK *);
BOOLEAN TryAcquireSRWLockExclusive(SRWLOCK *);
void ReleaseSRWLockExclusive(SRWLOCK *);
BOOL SleepConditionVariableSRW(CONDITION_VARIABLE *, SRWLOCK *, DWORD, unsigned long);
void WakeConditionVariable(CONDITION_VARIABLE *);
void WakeAllConditionVariable(CONDITION_VARIABLE *);
void YieldProcessor(void);
HANDLE GetProcessHeap(void);
LPVOID HeapAlloc(HANDLE, DWORD, SIZE_T);
BOOL HeapFree(HANDLE, DWORD, LPVOID);
HANDLE CreateThread(PVOID, SIZE_T, DWORD(WINAPI *)(LPVOID), LPVOID, DWORD, DWORD *);
BOOL CloseHandle(HANDLE);
LONG InterlockedExchangeAdd(LONG volatile *, LONG);
LONG64 InterlockedExchangeAdd64(LONG64 volatile *, LONG64);
LONG InterlockedExchange(LONG volatile *, LONG);
LONG64 InterlockedExchange64(LONG64 volatile *, LONG64);
