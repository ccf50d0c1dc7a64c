/* What the services say about themselves, asked all at once. */

const JSON_TYPE = 'application/json; charset=utf-8';

async function all(r) {
  await ask_all(r, 'healthcheck', 'DOWN');
}

async function invariants(r) {
  await ask_all(r, 'invariants', 'BROKEN');
}

async function ask_all(r, page, worst) {
  if (!is_read(r)) {
    return;
  }
  const names = r.variables.services.split(' ');
  const reports = await Promise.all(names.map((name) => ask(r, name, page)));
  const services = {};
  names.forEach((name, i) => { services[`${name}-service`] = reports[i]; });
  const status = overall(reports.map((report) => report.status), worst);
  answer(r, status === 'OK' ? 200 : 503, { status, services });
}

/* The worst of all: DOWN (or BROKEN), else whatever is not OK (DEGRADED), else OK. */
function overall(states, worst) {
  const faults = states.filter((state) => state !== 'OK');
  if (faults.length === 0) {
    return 'OK';
  }
  return faults.every((state) => state === 'DEGRADED') ? 'DEGRADED' : worst;
}

async function one(r) {
  if (!is_read(r)) {
    return;
  }
  const name = r.uri.slice('/health/'.length).replace(/-service$/, '');
  const there = r.variables.services.split(' ').includes(name) && r.uri === `/health/${name}-service`;
  if (!there) {
    r.return(404);
    return;
  }
  const report = await ask(r, name, 'healthcheck');
  answer(r, report.status === 'DOWN' ? 503 : 200, report);
}

/* A service that is silent, or says something else than a report, is DOWN. */
async function ask(r, name, page) {
  const reply = await r.subrequest(`/_ask/${name}/${page}`);
  try {
    const report = JSON.parse(reply.responseText);
    if (typeof report.status === 'string') {
      return report;
    }
  } catch (e) {
    // no JSON: said below
  }
  return { status: 'DOWN', service: `${name}-service`, error: silence(reply.status) };
}

function silence(status) {
  if (status === 502) {
    return 'cannot be reached';
  }
  return status === 504 ? 'does not answer in time' : `answers ${status} without a report`;
}

function is_read(r) {
  const read = r.method === 'GET' || r.method === 'HEAD';
  if (!read) {
    r.return(405);
  }
  return read;
}

function answer(r, status, body) {
  r.headersOut['Content-Type'] = JSON_TYPE;
  r.headersOut['Cache-Control'] = 'no-store';
  r.return(status, JSON.stringify(body));
}

export default { all, one, invariants };
