/* Stands in for a header of Microsoft's, with what csrc uses of it: see tools/check_platforms.sh. */
#pragma once
float sqrtf(float);
double sqrt(double);
double fabs(double);
double frexp(double, int *);
double ldexp(double, int);
double exp(double);
double log(double);
double log1p(double);
double pow(double, double);
#define INFINITY ((float)1e300)
#define NAN (INFINITY * 0.0f)
#define isnan(x) ((x) != (x))
#define isfinite(x) ((x) - (x) == 0)
