// approve.mjs URL   signs in at the authorization URL as a person would, and follows the link back to the client; the
// name and the password are in $LOGIN_USER and $LOGIN_PASSWORD
import { ask, Browser } from '../oauth/browser.mjs';

const { LOGIN_USER: username, LOGIN_PASSWORD: password } = process.env;
const { link } = await new Browser().signIn(process.argv[2], { username, password });
const { status } = await ask(link);
console.log(`signed in, the client answered ${status}`);
