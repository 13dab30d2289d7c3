-- A form with a photo and its mask for wrk:
--     wrk -t 1 -c 16 -d 60s --timeout 60s --latency -s deploy/load.lua http://127.0.0.1:8000/v1/inpaint \
--         -- photo.jpg mask.png
local function read(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read("*a")
  file:close()
  return content
end

local function part(name, path)
  return '--X\r\nContent-Disposition: form-data; name="' .. name .. '"; filename="' .. name .. '"\r\n\r\n'
    .. read(path) .. "\r\n"
end

function init(arguments)
  assert(#arguments == 2, "name a photo and its mask after --")
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "multipart/form-data; boundary=X"
  wrk.body = part("image", arguments[1]) .. part("mask", arguments[2]) .. "--X--\r\n"
end
