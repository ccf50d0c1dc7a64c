/* Entry point of the page. */

import * as imports from './imports.js';
import * as orders from './orders.js';
import * as uploads from './uploads.js';

orders.start();
imports.start(orders.refresh);
uploads.start();
