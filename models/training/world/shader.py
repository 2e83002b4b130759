"""The GLSL of the renderer: one surface program, one for shadow depth, one for the id buffer."""

SURFACE_VERTEX = """#version 330
in vec3 position; in vec3 normal; in vec3 colour; in vec2 tags; in vec3 unit; in vec3 own;
uniform mat4 clip_from_world; uniform mat4 shadow_from_world;
out vec3 world; out vec3 facing; out vec3 base; flat out float material; flat out float owner;
out vec3 unit_at; out vec3 own_at; out vec4 shadow_at;
void main() {
    gl_Position = clip_from_world * vec4(position, 1.0);
    world = position; facing = normal; base = colour; material = tags.x; owner = tags.y;
    unit_at = unit; own_at = own; shadow_at = shadow_from_world * vec4(position, 1.0);
}"""

SURFACE_FRAGMENT = """#version 330
in vec3 world; in vec3 facing; in vec3 base; flat in float material; flat in float owner;
in vec3 unit_at; in vec3 own_at; in vec4 shadow_at;
uniform sampler2D shadow_depth;
uniform vec3 eye, sun, sky, lamp_colour;
uniform vec4 lamps[6];
uniform float sun_power, ambient, infrared, night, seed, haze, cloud, wet, snow, beam;
uniform vec3 ahead;
layout(location = 0) out vec4 light_out;

float hash(vec3 p) { p = fract(p * .3183099 + vec3(.1, .2, .3)); p *= 17.; return fract(p.x * p.y * p.z * (p.x + p.y + p.z)); }
float noise(vec3 x) {
    vec3 i = floor(x), f = fract(x); f = f * f * (3. - 2. * f);
    return mix(mix(mix(hash(i), hash(i + vec3(1, 0, 0)), f.x), mix(hash(i + vec3(0, 1, 0)), hash(i + vec3(1, 1, 0)), f.x), f.y),
               mix(mix(hash(i + vec3(0, 0, 1)), hash(i + vec3(1, 0, 1)), f.x), mix(hash(i + vec3(0, 1, 1)), hash(i + vec3(1, 1, 1)), f.x), f.y), f.z);
}
void main() {
    int kind = int(material + .5);
    if (kind == 13) {  // contact shadow: darkens what lies below it
        vec2 q = abs(unit_at.xy) * 2.;
        float fall = smoothstep(1., .55, q.x) * smoothstep(1., .35, q.y);
        light_out = vec4(0., 0., 0., fall * base.x); return;
    }
    vec3 n = normalize(facing), view = normalize(eye - world);
    if (dot(n, view) < 0.) n = -n;
    vec3 c = base, grain = own_at + seed; float gloss = 0., mirror = 0., glow = 0.;
    vec2 wall = abs(n.x) > .6 ? own_at.yz : own_at.xz;
    if (kind == 1) {
        float rough = noise(grain * .35) * .5 + noise(grain * 1.7) * .3 + noise(grain * 14.) * .35;
        c *= .62 + .62 * rough; mirror = wet * .5 * smoothstep(.35, .75, noise(grain * .8));
        float crack = abs(noise(grain * .55 + 9.) - .5);
        if (noise(grain * .21 + 40.) > .6) c *= crack < .008 ? .82 : 1.;
    } else if (kind == 2) {
        float width = 1.7 + fract(seed * .37 + floor(base.r * 31.)) * 1.5;
        vec2 cell = vec2(width, 2.9), g = fract(wall / cell), index = floor(wall / cell);
        float dice = hash(vec3(index, seed));
        c *= .82 + .24 * noise(grain * .6); c *= .92 + .12 * noise(grain * 5.);
        c *= 1. - .18 * smoothstep(.93, .98, g.y);
        bool opening = abs(n.z) < .5 && g.x > .2 && g.x < .8 && g.y > .3 && g.y < .82 && own_at.z > 3.4;
        if (opening) {
            c = vec3(.06, .08, .10) + .22 * dice * vec3(.8, .9, 1.); mirror = .3;
            if (dice > .35 && dice < .6 && g.x < .45) c = mix(c, vec3(.55, .5, .42), .7);
            if (night > .5 && dice > .72) { glow = .9; c = vec3(1., .85, .6) * (.35 + dice * .5); }
            if (abs(g.x - .5) < .018 || g.y < .325) { c = vec3(.55); mirror = 0.; glow = 0.; }
        } else if (abs(n.z) < .5 && g.x > .15 && g.x < .85 && g.y > .25 && g.y < .3 && own_at.z > 3.4) c *= .8;
    } else if (kind == 3) {
        float leaf = noise(grain * 6.) * .6 + noise(grain * 15.) * .5;
        if (leaf < .38) discard;
        c *= .35 + 1.2 * leaf;
        n = normalize(n + 1.4 * (vec3(noise(grain * 9.), noise(grain * 9. + 31.), noise(grain * 9. + 77.)) - .5));
    } else if (kind == 4) { mirror = .5; gloss = .8; }
    else if (kind == 5) { gloss = .55; mirror = .2; c *= .95 + .08 * noise(grain * 3.); c *= 1. - .25 * smoothstep(.45, .1, own_at.z) * noise(grain * 7.); }
    else if (kind == 6) { glow = 1.2; }
    else if (kind == 7) {
        c *= .86 + .22 * noise(grain * 4.); vec3 q = abs(unit_at - vec3(0., 0., .5));
        if (abs(unit_at.y) < .07) c = mix(c, vec3(.78, .70, .52), .65);
        if (abs(n.z) < .5 && unit_at.z > .35 && unit_at.z < .6 && abs(unit_at.x) < .22 && hash(floor(grain)) > .4) c *= .55;
        if (max(max(q.x, q.y), q.z) > .47 && min(max(q.x, q.y), q.z) > .44) c *= .7;
    } else if (kind == 8) {
        vec2 b = wall / vec2(.5, .22); b.x += .5 * mod(floor(b.y), 2.); vec2 f = fract(b);
        c *= .78 + .35 * hash(vec3(floor(b), seed)); if (f.x < .06 || f.y < .1) c *= .78; c *= .8 + .4 * noise(grain * .7);
    } else if (kind == 9) {
        float around = fract(atan(unit_at.y, unit_at.x) / 6.28318 + .5) * 8.;
        if (mod(floor(around), 2.) < .5) c = mix(vec3(.92), vec3(1.) - base, step(.7, fract(seed * .73)));
        c *= .85 + .2 * fract(around);
    } else if (kind == 10) {
        float style = fract(seed * 1.3 + base.r * 9.);
        if (style < .4) { if (fract((own_at.x + own_at.z) * 5.) < .5) c *= .62; }
        else if (style < .7) c *= .6 + .8 * noise(grain * 9.);
        else if (fract(own_at.z * 7.) < .35) c = mix(c, vec3(.9), .6);
        c *= .85 + .3 * noise(grain * 7.);
    } else if (kind == 11) {
        vec2 f = fract(own_at.xy / .6), i = floor(own_at.xy / .6);
        c *= .85 + .16 * hash(vec3(i, seed)); if (fract(seed * .11) < .7 && (f.x < .05 || f.y < .05)) c *= .78;
        c *= .78 + .34 * noise(grain * .4) + .16 * noise(grain * 9.); mirror = wet * .35 * smoothstep(.4, .75, noise(grain * .9));
    } else if (kind == 12) {
        vec3 q = unit_at * vec3(5., 5., 4.) + seed + base * 7.; float dice = hash(floor(q));
        c = mix(c, vec3(hash(floor(q) + 1.), hash(floor(q) + 2.), hash(floor(q) + 3.)), step(.55, dice) * .8);
    } else if (kind == 14) {
        c *= .84 + .2 * noise(grain * .5) + .1 * noise(grain * 6.);
        float streak = noise(vec3(wall.x * 2.2, wall.y * .12, seed)); c *= .9 + .14 * streak;
        if (fract(wall.y / 3.) < .025) c *= .82;
    } else if (kind == 15) { c *= .72 + .28 * step(.25, fract(own_at.z * 9.)); c *= .9 + .15 * noise(grain * 2.); }
    else c *= .9 + .16 * noise(grain * 6.);

    if (snow > 0. && kind != 6) {
        float lies = smoothstep(1.05 - snow, 1.25 - snow, n.z * (.55 + .6 * noise(grain * .7)));
        c = mix(c, vec3(.86, .88, .92), lies * .9); gloss *= 1. - lies; mirror *= 1. - lies;
    }
    vec3 s = shadow_at.xyz / shadow_at.w * .5 + .5; float lit = 0.;
    if (sun_power < .01 || s.x < 0. || s.x > 1. || s.y < 0. || s.y > 1.) lit = 1.;
    else {
        float bias = .0012 + .0025 * (1. - abs(dot(n, sun))); vec2 texel = 1. / vec2(textureSize(shadow_depth, 0));
        for (int i = 0; i < 4; i++) lit += .25 * step(s.z - bias, texture(shadow_depth, s.xy + (vec2(i & 1, i >> 1) - .5) * texel * 1.6).r);
    }
    if (cloud > 0.) lit *= 1. - .75 * smoothstep(0., .25, cloud - noise(world * .03 + vec3(cloud * 3., 0., 0.)) * .8);
    vec3 up = mix(vec3(1.), sky * 1.5, .35);
    vec3 light = vec3(ambient) * (.62 + .38 * n.z) * up * (.8 + .2 * clamp(own_at.z * 1.5, 0., 1.))
               + vec3(1., .95, .86) * sun_power * lit * max(dot(n, sun), 0.);
    if (infrared > .5) {
        float d = length(eye - world);
        light = vec3(60. / (d * d + 25.)) * max(dot(n, view), .08) + .025; gloss *= .3;
        light *= mix(1., pow(max(dot(-view, ahead), 0.), 1. + 10. * beam), min(1., beam * 4.));
    } else if (night > .5) {
        for (int i = 0; i < 6; i++) {
            vec3 to = lamps[i].xyz - world; float r2 = dot(to, to);
            light += lamp_colour * lamps[i].w / (r2 + 2.) * max(dot(n, to * inversesqrt(r2)), .05) * 1.6;
        }
    }
    vec3 back = reflect(-view, n); float fresnel = pow(1. - max(dot(n, view), 0.), 3.);
    vec3 r = c * light + c * glow;
    r += mirror * (.3 + .7 * fresnel) * mix(vec3(.25) * ambient, sky, smoothstep(-.1, .4, back.z)) * (.6 + .8 * noise(back * 4. + grain * .3));
    r += gloss * sun_power * lit * pow(max(dot(back, sun), 0.), 40.);
    if (infrared < .5) r = mix(r, sky, 1. - exp(-haze * length(eye - world)));
    else r = vec3(dot(r, vec3(.5, .3, .2)));
    light_out = vec4(r, 1.);
}"""

SHADOW_VERTEX = """#version 330
in vec3 position; in vec2 tags; uniform mat4 clip_from_world;
void main() {
    gl_Position = clip_from_world * vec4(position, 1.0);
    if (tags.x == 13.) gl_Position = vec4(2., 2., 2., 1.);  // contact shadows cast none
}"""

SHADOW_FRAGMENT = """#version 330
void main() {}"""

ID_VERTEX = """#version 330
in vec3 position; in vec2 tags; uniform mat4 clip_from_world; flat out float owner;
void main() {
    gl_Position = clip_from_world * vec4(position, 1.0); owner = tags.y;
    if (tags.x == 13.) gl_Position = vec4(2., 2., 2., 1.);
}"""

ID_FRAGMENT = """#version 330
flat in float owner; layout(location = 0) out vec4 id_out;
void main() { id_out = vec4(mod(owner, 256.) / 255., floor(owner / 256.) / 255., 0., 1.); }"""
