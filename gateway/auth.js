/* Who is let in. README.md, "The auth chain", tells it in ten lines.
 *
 * Kept in shared memory, under the HMAC of what was sent together with the address it came from, never a password:
 *   verdicts  right a few seconds ago, and the user's role
 *   known     was right from this address, and the HMAC of the user's line in htpasswd at that time
 *   guesses   ten slots per address; each holds a wrong password for a minute, or one that is being checked
 *   pending   being checked at this moment, so that parallel requests wait for one hash instead of computing their own
 */
import hashes from 'crypto';
import fs from 'fs';

const GUESSES = 10;
const WRONG_FOR = 60000;
const CHECK_FOR = 5000;
const DECOY = '!nobody';    // an entry that users.py keeps in htpasswd; a name no user can have

/* Made when nginx starts and kept across reloads; it is nowhere else. */
function secret() {
  const box = ngx.shared.secret;
  let key = box.get('key');
  if (!key) {
    const bytes = new Uint8Array(32);
    crypto.getRandomValues(bytes);
    box.add('key', Buffer.from(bytes).toString('hex'));
    key = box.get('key');
  }
  return key;
}

function hmac(data) {
  return hashes.createHmac('sha256', secret()).update(data).digest('base64url');
}

/* The address that wrong passwords are counted for; of IPv6 the network, since one client has 2^64 of them. */
function place_of(r) {
  return r.rawVariables.binary_remote_addr.slice(0, 8).toString('hex');
}

/* Called once by every request, so what is not needed by those let in stands further down. Who was right is told by his
 * role, who has to be asked about by 'unknown' and the role he would have. */
function verdict(r) {
  const sent = r.rawVariables.http_authorization;
  if (!sent) {
    return 'anonymous';
  }
  const credential = hmac(sent);
  r.variables.credential = credential;
  const key = r.variables.remote_addr + credential;
  const role = ngx.shared.verdicts.get(key) || still_good(r, key);
  if (role) {
    return role;
  }
  const place = place_of(r);
  r.variables.place = place;
  return all_wrong(place) ? 'throttled' : `unknown ${role_of(r, r.variables.remote_user)}`;
}

/* His role if what was right before is right still, as the user's line is the same: no hash. */
function still_good(r, key) {
  const proof = ngx.shared.known.get(key);
  if (!proof) {
    return '';
  }
  const user = r.variables.remote_user;
  const line = line_of(user, r.variables.users_file);
  if (!line || hmac(line) !== proof) {
    ngx.shared.known.delete(key);
    return '';
  }
  ngx.shared.known.set(key, proof);
  return remember(r, key, user);
}

function remember(r, key, user) {
  const role = role_of(r, user);
  ngx.shared.verdicts.set(key, role);
  return role;
}

/* Who is not named among the roles is a writer. */
function role_of(r, user) {
  const line = line_of(user, r.variables.roles_file);
  return line ? line.slice(user.length + 1) : 'writer';
}

function line_of(user, file) {
  const start = `${user}:`;
  return fs.readFileSync(file, 'utf8').split('\n').find((line) => line.startsWith(start));
}

/* Answers the gateway's question: 204 let in, 401 wrong password, 403 not allowed (X-Refusal says why, or it is the role). */
async function check(r) {
  const user = r.variables.remote_user;
  if (!user) {
    r.return(401);
    return;
  }
  const here = r.headersIn['X-Place'];
  const key = r.headersIn['X-Address'] + r.headersIn['X-Credential'];
  const outcome = await outcome_of(r, user, here, key);
  if (outcome === 'right') {
    r.headersOut['X-User'] = user;
    r.return(r.headersIn['X-Forbidden'] ? 403 : 204);
  } else if (outcome === 'wrong') {
    r.return(401);
  } else {
    r.headersOut['X-Refusal'] = outcome;
    r.return(403);
  }
}

async function outcome_of(r, user, here, key) {
  const until = Date.now() + CHECK_FOR;
  while (Date.now() < until) {
    if (ngx.shared.verdicts.get(key)) {
      return 'right';
    }
    if (ngx.shared.pending.get(key) === 'wrong') {
      take_slot(here, 'wrong', WRONG_FOR);
      return 'wrong';
    }
    const slot = take_slot(here, 'checking', CHECK_FOR);
    if (slot && ngx.shared.pending.add(key, 'checking')) {
      return await hashed(r, user, key, slot);
    }
    if (slot) {
      ngx.shared.guesses.delete(slot);
    } else if (all_wrong(here)) {
      return 'guessing';
    }
    await new Promise((done) => setTimeout(done, 10));
  }
  return 'busy';
}

async function hashed(r, user, key, slot) {
  const line = line_of(user, r.variables.users_file);
  if (!line) {    // an unknown user costs the same hash as a wrong password
    r.variables.decoy = `Basic ${Buffer.from(`${DECOY}:-`).toString('base64')}`;
  }
  const reply = await r.subrequest('/hash');
  if (reply.status === 204 && line) {
    ngx.shared.known.set(key, hmac(line));
    remember(r, key, user);
    ngx.shared.guesses.delete(slot);
    ngx.shared.pending.delete(key);
    return 'right';
  }
  if (reply.status === 401 || reply.status === 204) {
    ngx.shared.guesses.set(slot, 'wrong', WRONG_FOR);
    ngx.shared.pending.set(key, 'wrong', 100);
    return 'wrong';
  }
  ngx.shared.guesses.delete(slot);
  ngx.shared.pending.delete(key);
  return 'busy';
}

function take_slot(here, state, milliseconds) {
  for (let i = 0; i < GUESSES; i++) {
    const slot = `${here}/${i}`;
    if (ngx.shared.guesses.add(slot, state, milliseconds)) {
      return slot;
    }
  }
  return '';
}

function all_wrong(here) {
  for (let i = 0; i < GUESSES; i++) {
    if (ngx.shared.guesses.get(`${here}/${i}`) !== 'wrong') {
      return false;
    }
  }
  return true;
}

export default { verdict, check };
