/* app/agent_seat.c - the seat: with the directory source everything is served at once. */
#include "app/agent.h"

int ea_agent_seat_start(struct ea_agent *a, struct ea_err *err)
{
    return 0;
}

void ea_agent_seat_tick(struct ea_agent *a)
{
}

void ea_agent_seat_stop(struct ea_agent *a)
{
}

bool ea_agent_seat_ready(struct ea_agent *a, char *why, size_t n)
{
    return true;
}
