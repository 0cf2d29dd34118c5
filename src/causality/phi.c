/*
 * phi.c: phi accrual failure detector.  Pure; see phi.h.
 *
 * The tail of the normal distribution is approximated by the logistic function that Akka uses: with
 * x = y (1.5976 + 0.070566 y^2), P(later) = 1 / (1 + e^x), so phi = log10(1 + e^x).  Written with log1p it neither
 * overflows nor loses the small values, whatever finite y is.
 */
#include "causality/phi.h"

#include <math.h>

#define US_PER_MS			1000
#define INTERVAL_MAX_MS		(INT64_C(1) << 22)	/* 70 minutes: the window's squares fit 64 bits */

/* So many outages in a row are no outages: the region has another rhythm now. */
#define OUTAGES_MAX			3

static void
add_interval(SdPhi *phi, int64_t interval_ms)
{
	uint32_t   *place = &phi->interval_ms[phi->next];
	uint32_t	ms = interval_ms > INTERVAL_MAX_MS ? (uint32_t) INTERVAL_MAX_MS : (uint32_t) interval_ms;

	if (phi->n == SD_PHI_WINDOW)
	{
		phi->sum -= *place;
		phi->squares -= (uint64_t) *place * *place;
	}
	else
		phi->n++;
	*place = ms;
	phi->sum += ms;
	phi->squares += (uint64_t) ms * ms;
	phi->next = (phi->next + 1) % SD_PHI_WINDOW;
}

void
sd_phi_init(SdPhi *phi, const SdPhiSettings *settings, int64_t now_us)
{
	int64_t		interval = settings->interval_ms > 0 ? settings->interval_ms : 1;

	*phi = (SdPhi) {.settings = *settings, .heard_us = now_us, .looked_us = now_us};
	/* nothing is known yet: two intervals, a quarter of it to either side */
	add_interval(phi, interval - interval / 4);
	add_interval(phi, interval + interval / 4);
	/* not from heartbeat to heartbeat */
	phi->odd = true;
}

double
sd_phi_mean_ms(const SdPhi *phi)
{
	return phi->n == 0 ? 0.0 : (double) phi->sum / phi->n;
}

double
sd_phi_deviation_ms(const SdPhi *phi)
{
	uint64_t	variance;

	if (phi->n == 0)
		return 0.0;
	/* n * squares >= sum * sum, in whole numbers exactly: never the root of something negative */
	variance = phi->n * phi->squares - phi->sum * phi->sum;
	return sqrt((double) variance) / phi->n;
}

static double
phi_of(const SdPhi *phi, double elapsed_ms)
{
	double		deviation = fmax(sd_phi_deviation_ms(phi), fmax(phi->settings.deviation_ms, 1.0));
	double		y = (elapsed_ms - sd_phi_mean_ms(phi) - phi->settings.pause_ms) / deviation;
	double		x = y * (1.5976 + 0.070566 * y * y);

	return fmin((x > 0 ? x + log1p(exp(-x)) : log1p(exp(x))) / log(10.0), SD_PHI_MAX);
}

static int64_t
own_gap_us(const SdPhi *phi)
{
	return (int64_t) phi->settings.own_gap_ms * US_PER_MS;
}

void
sd_phi_tick(SdPhi *phi, int64_t now_us)
{
	int64_t		gap = now_us - phi->looked_us;

	if (gap > own_gap_us(phi))
	{
		/* we were stopped: else everybody would look dead to who comes back from a SIGSTOP */
		phi->heard_us += gap;
		phi->odd = true;
	}
	if (gap > 0)
		phi->looked_us = now_us;
}

void
sd_phi_heard(SdPhi *phi, int64_t now_us)
{
	int64_t		elapsed_us;
	bool		outage;

	sd_phi_tick(phi, now_us);
	elapsed_us = now_us - phi->heard_us;
	if (elapsed_us < 0)
		return;
	if (!phi->odd)
	{
		outage = phi_of(phi, (double) elapsed_us / US_PER_MS) >= phi->settings.threshold;
		phi->outages = outage ? phi->outages + 1 : 0;
		if (!outage || phi->outages > OUTAGES_MAX)
			add_interval(phi, elapsed_us / US_PER_MS);
	}
	phi->odd = false;
	phi->heard_us = now_us;
}

double
sd_phi_value(const SdPhi *phi, int64_t now_us)
{
	int64_t		until = now_us - phi->looked_us > own_gap_us(phi) ? phi->looked_us : now_us;

	return until <= phi->heard_us ? phi_of(phi, 0.0) : phi_of(phi, (double) (until - phi->heard_us) / US_PER_MS);
}
